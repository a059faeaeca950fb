# make help lists the targets.

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=
BIN     := $(CURDIR)/bin

export CGO_ENABLED = 0
export DETACH_TEST_BIN = $(BIN)

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

LINUX := amd64 arm64 386 arm riscv64 ppc64le s390x loong64
OTHER := darwin/arm64 freebsd/amd64 windows/amd64

PYTHON  ?= /usr/bin/python3
PYTEST  := PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m pytest -q -rs -p no:cacheprovider

.PHONY: all run test race repeat matrix bench cross lint vuln gameserver panel install clean help

all: ## build bin/detach and bin/detachtest, statically (the default)
	$(GO) build -trimpath -ldflags='-s -w' -o $(BIN)/ ./cmd/...

run: all ## show the main job in a few seconds: a manager is killed, its server lives
	$(GO) run ./examples/tour -detach $(BIN)/detach

test: all gameserver ## run all tests; what they lack on this machine they skip, with a line
	$(GO) test -timeout 20m ./...
	$(GO) test -gcflags='all=-N -l' ./detach/internal/doublefork
	@if [ "$$($(GO) env GOHOSTARCH)" = amd64 ]; then \
		echo "GOARCH=386 $(GO) test ./detach/internal/..."; GOARCH=386 $(GO) test ./detach/internal/...; fi
	@$(MAKE) --no-print-directory panel

race: all gameserver ## run the Go tests under the race detector (needs gcc)
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./...

repeat: all gameserver ## run the Go tests 20 times in a row
	$(GO) test -count=20 -timeout 90m ./...

matrix: all ## run the full matrix, pin it, and write the README's table from it (needs root)
	DETACH_TEST_REQUIRE=all $(GO) test -count=1 -run '^TestOurMatrix$$' ./cmd/detachtest -update

bench: all ## compare with os/exec and with every launcher found here; prints ratios
	$(GO) run ./detach/lab/bench -bin $(BIN)

cross: ## build and vet for every platform
	@set -e; for arch in $(LINUX); do echo "linux/$$arch"; \
		GOOS=linux GOARCH=$$arch $(GO) build -o /dev/null ./... && GOOS=linux GOARCH=$$arch $(GO) vet ./...; done
	@set -e; for platform in $(OTHER); do echo $$platform; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO) build -o /dev/null ./... && \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} $(GO) vet ./...; done

lint: cross ## gofmt, go vet for every platform, staticcheck, go mod tidy
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	$(GO) run $(STATICCHECK) ./...
	$(GO) mod tidy -diff

vuln: ## look the dependencies up in the Go vulnerability database (needs the internet)
	$(GO) run $(GOVULNCHECK) ./...

# Only if there is a JDK: the tests that want the server say so if it is missing.
gameserver: ## build examples/gameserver, if there is a JDK
	@if command -v javac >/dev/null; then $(MAKE) --no-print-directory -C examples/gameserver; \
		else echo "no javac: examples/gameserver is not built"; fi

panel: all gameserver ## test examples/fastapi-manager, if there is pytest
	@if $(PYTHON) -c 'import pytest' 2>/dev/null; then $(PYTEST) examples/fastapi-manager; \
		else echo "no pytest for $(PYTHON): examples/fastapi-manager is not tested"; test "$$DETACH_TEST_REQUIRE" != all; fi

install: all ## install the binaries below $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 0755 $(BIN)/detach $(BIN)/detachtest $(DESTDIR)$(PREFIX)/bin/

clean: ## remove what was built
	rm -rf $(BIN) examples/gameserver/build

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14
