//go:build !linux

package main

func notSubreaper() {}
