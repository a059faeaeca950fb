package systemd

import (
	"context"

	"github.com/detachkit/detach/detach/internal/service"
)

func init() { service.Register(driver{}) }

type driver struct{}

func (driver) Connect(ctx context.Context, user int) (service.Manager, error) {
	return connect(ctx, user)
}

func (driver) Sessions(ctx context.Context) (service.Sessions, error) { return connectLogind(ctx) }
