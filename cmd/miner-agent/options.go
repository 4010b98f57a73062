package main

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// options of the run command. Each may also come from the environment.
type options struct {
	listen, tlsDir, credentialsDir, pool, podUID, http string
}

// usageError is a setting that the caller has to mend. It may be of no flag, a flag may have no variable, and the
// problem may name its fix.
type usageError struct {
	flag, env, problem, fix string
}

func (e *usageError) Error() string {
	text := e.problem
	if e.env != "" {
		text = fmt.Sprintf("--%s (or %s): %s", e.flag, e.env, text)
	} else if e.flag != "" {
		text = fmt.Sprintf("--%s: %s", e.flag, text)
	}
	if e.fix != "" {
		text += "; " + e.fix
	}
	return text
}

// setting is one flag with its variable, so that flag, environment and complaint can't drift apart.
type setting struct {
	into                     *string
	flag, env, preset, usage string
}

func (o *options) settings() []setting {
	return []setting{
		{&o.listen, "listen", "COUNTERWEIGHT_LISTEN", "", "ADDRESS:PORT on which the operator reaches this agent"},
		{&o.tlsDir, "tls-dir", "COUNTERWEIGHT_TLS_DIR", "/etc/counterweight/tls", "directory with tls.crt, tls.key and ca.crt"},
		{
			&o.credentialsDir, "credentials-dir", "COUNTERWEIGHT_CREDENTIALS_DIR", "/etc/counterweight/credentials",
			"directory with username, password and FIRMWARE.username, FIRMWARE.password; the firmwares' defaults where it is missing",
		},
		{&o.pool, "pool", "COUNTERWEIGHT_POOL", "", "NAMESPACE/NAME of the MinerPool this agent belongs to"},
		{&o.podUID, "pod-uid", "COUNTERWEIGHT_POD_UID", "", "UID of the pod this agent runs in"},
		{&o.http, "http", "COUNTERWEIGHT_HTTP", "", "ADDRESS:PORT for /healthz, /readyz and /metrics (default: the address of --listen, port 8082)"},
	}
}

// register adds the flags; the environment is their default.
func (o *options) register(flags *pflag.FlagSet) {
	for _, s := range o.settings() {
		flags.StringVar(s.into, s.flag, cmp.Or(os.Getenv(s.env), s.preset), s.usage+" ["+s.env+"]")
	}
}

// complete checks the options and fills what follows from others.
func (o *options) complete() error {
	host, err := hostOf("listen", "COUNTERWEIGHT_LISTEN", o.listen)
	if err != nil {
		return err
	}
	o.http = cmp.Or(o.http, net.JoinHostPort(host, "8082"))
	if _, err := hostOf("http", "COUNTERWEIGHT_HTTP", o.http); err != nil {
		return err
	}
	if namespace, name := o.poolName(); namespace == "" || name == "" || strings.Contains(name, "/") {
		return &usageError{"pool", "COUNTERWEIGHT_POOL", fmt.Sprintf("%q is no pool", o.pool), "give NAMESPACE/NAME of a MinerPool"}
	}
	if o.podUID == "" {
		return &usageError{
			"pod-uid", "COUNTERWEIGHT_POD_UID", "missing",
			"give metadata.uid of the pod by the downward API; the operator binds its stream to it",
		}
	}
	return nil
}

func (o *options) poolName() (namespace, name string) {
	namespace, name, _ = strings.Cut(o.pool, "/")
	return namespace, name
}

// hostOf insists on an address: an agent serves on its own and on no other.
func hostOf(flag, env, address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	switch {
	case address == "":
		return "", &usageError{flag, env, "missing", "give the pod's own ADDRESS:PORT, such as 10.1.2.3:7443"}
	case err != nil:
		return "", &usageError{flag, env, err.Error(), "give ADDRESS:PORT, such as 10.1.2.3:7443"}
	case host == "" || port == "":
		return "", &usageError{
			flag, env, fmt.Sprintf("%q names no address and port", address),
			"give the pod's own ADDRESS:PORT (0.0.0.0:7443 serves on every interface, if that is meant)",
		}
	}
	return host, nil
}
