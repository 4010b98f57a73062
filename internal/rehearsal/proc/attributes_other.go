//go:build !linux

package proc

import "syscall"

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func goAhead() (back func()) { return func() {} }
