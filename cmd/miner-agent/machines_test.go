package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	simluxos "github.com/counterweight-dev/counterweight/internal/minersim/luxos"
	"github.com/counterweight-dev/counterweight/internal/minersim/simtest"
)

// typed runs a command line as a person types it.
func typed(t *testing.T, line ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, complaints strings.Builder
	root := rootCommand()
	root.SetArgs(line)
	root.SetOut(&out)
	root.SetErr(&complaints)
	root.SetIn(strings.NewReader("password: [s3cr3t]"))
	err = root.ExecuteContext(t.Context())
	return out.String(), complaints.String(), err
}

func TestWhatIsTypedWronglyIsUsage(t *testing.T) {
	for line, want := range map[string]string{
		"bogus":                                    `"bogus" is no command`,
		"probe":                                    "0 arguments; give one ADDRESS",
		"probe --bogus 10.0.0.1":                   "unknown flag",
		"probe miner-7":                            "is no IP address",
		"probe 10.0.0.1 -o xml":                    `--output: "xml" is none`,
		"probe 10.0.0.1 --firmware x":              "--firmware: ",
		"probe 10.0.0.1 --port x=1":                "--port: ",
		"probe 10.0.0.1 --credentials -":           `--credentials -: key "password" is no text`,
		"scan":                                     "give one RANGE or more",
		"scan 10.0.0.0/8":                          "scan in parts",
		"scan 10.0.0.1 -o yaml":                    "--output: ",
		"scan 10.0.0.1 --connections 1":            "--connections: 1 is out of bounds",
		"scan 10.0.0.1 --timeout 0s":               "--timeout: no time",
		"set 10.0.0.1":                             "give one of them",
		"set 10.0.0.1 --sleep --wake":              "2 of --watts",
		"set 10.0.0.1 --sleep=false":               "--sleep: nothing",
		"set 10.0.0.1 --mode=":                     "--mode: nothing",
		"set 10.0.0.1 --watts 0":                   "--watts: 0 W",
		"set 10.0.0.1 --watts -5":                  "--watts: -5 W",
		"set 10.0.0.1 --watts 2.5k":                "invalid argument",
		"set 10.0.0.1 --sleep --wait 0s":           "--wait: no time",
		"set 10.0.0.1 10.0.0.2 --sleep --wait 10s": "2 arguments",
	} {
		_, _, err := typed(t, strings.Fields(line)...)
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || code(err) != 2 {
			t.Errorf("%s: want %q, got %v", line, want, err)
		}
	}
}

const one = `
seed: 2
groups:
- {name: lux, count: 1, model: S19k Pro, firmware: LuxOS, firstAddress: BASE2, budget: x, powerSource: PSU}
`

func TestAMachineByHand(t *testing.T) {
	site, _ := simtest.Start(t, map[string]minersim.Front{"LuxOS": simluxos.New()}, one)
	d := site.Fleet.Devices[0]
	address := d.Address.Addr().String()

	out, _, err := typed(t, "probe", address, "-o", "json", "--expect", strings.ToUpper(d.MAC))
	var document map[string]any
	if err != nil || json.Unmarshal([]byte(out), &document) != nil || document["mac"] != d.MAC || document["state"] != "Hashing" {
		t.Errorf("json: %v\n%s", err, out)
	}
	if out, _, err = typed(t, "probe", address, "-o", "yaml"); err != nil || !strings.Contains(out, "\nmac: "+d.MAC+"\n") {
		t.Errorf("yaml: %v\n%s", err, out)
	}
	if out, _, err = typed(t, "probe", address); err != nil || !strings.Contains(out, "LuxOS") {
		t.Errorf("wide: %v\n%s", err, out)
	}
	out, summary, err := typed(t, "scan", address, "-o", "json")
	if err != nil || strings.Count(out, "\n") != 1 || !strings.Contains(out, d.MAC) || !strings.HasPrefix(summary, "1 of 1 addresses scanned") {
		t.Errorf("lines: %v\n%s%s", err, out, summary)
	}
	if out, _, err = typed(t, "scan", address); err != nil || !strings.HasPrefix(out, "ADDRESS ") || !strings.Contains(out, d.MAC) {
		t.Errorf("table: %v\n%s", err, out)
	}
	for line, want := range map[string]string{
		"probe --expect SN-1 " + address:          "another machine answers",
		"probe --firmware VNish " + address:       "nothing answers as VNish",
		"probe --port LuxOS=1 " + address:         "LuxOS at 1 (no connection)",
		"set --watts 99999 " + address:            "outside this machine's range",
		"set --mode turbo " + address:             "offers no mode",
		"set --sleep --expect SN-1 " + address:    "nothing was changed",
		"set --sleep --firmware VNish " + address: "--credentials: VNish takes orders only",
	} {
		out, _, err := typed(t, strings.Fields(line)...)
		if code(err) != 1 || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%s: want %q, got %v\n%s", line, want, err, out)
		}
	}
	if d.Truth().State != "Hashing" {
		t.Error("something was commanded")
	}
}

func TestWhatDidNotHappenIsPrintedAndEndsWith1(t *testing.T) {
	site, _ := simtest.Start(t, map[string]minersim.Front{"LuxOS": simluxos.New()}, one)
	address := site.Fleet.Devices[0].Address.Addr().String()
	out, progress, err := typed(t, "set", "--sleep", "--wait", "1ms", "-o", "json", address) // its time stands still
	var result map[string]any
	if code(err) != 1 || json.Unmarshal([]byte(out), &result) != nil || result["happened"] != false || result["why"] == "" {
		t.Errorf("%v\n%s", err, out)
	}
	for _, key := range []string{"commanded", "effective", "measured", "before", "notes"} {
		if result[key] == nil {
			t.Errorf("%s is missing:\n%s", key, out)
		}
	}
	if !strings.Contains(progress, "commanding sleep") || !strings.Contains(progress, "  0 s  ") {
		t.Errorf("progress:\n%s", progress)
	}
}

func TestEveryCommandTellsItsExitCodes(t *testing.T) {
	var told []string
	for _, c := range rootCommand().Commands() {
		if strings.Contains(c.Long, "ends with 0") {
			told = append(told, c.Name())
		}
	}
	if !slices.Equal(told, []string{"probe", "scan", "set"}) {
		t.Errorf("told by %v", told)
	}
}

func TestALooseFileIsWarnedOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logins")
	if err := os.WriteFile(path, []byte("password: s3cr3t"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, complaints, err := typed(t, "probe", "--credentials", path, "--port", "LuxOS=1", "--firmware", "LuxOS", "127.0.0.1")
	if !strings.Contains(complaints, "chmod 600") || err == nil || strings.Contains(complaints+err.Error(), "s3cr3t") {
		t.Errorf("%s%v", complaints, err)
	}
}
