package whatsminer_test

import (
	"encoding/json"
	"net"
	"testing"
)

// A machine of API v3 can be read at the port of API v2, where its release tells what it is, and commanded only by v3.
func TestV3AtThePortOfV2(t *testing.T) {
	r := start(t, v3)
	ask := func(request string) (status string, code int, msg map[string]any) {
		t.Helper()
		c, err := net.Dial("tcp", r.d.Doors[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := c.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		var got struct {
			STATUS string
			Code   int
			Msg    json.RawMessage
		}
		if err := json.NewDecoder(c).Decode(&got); err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		_ = json.Unmarshal(got.Msg, &msg)
		return got.STATUS, got.Code, msg
	}
	if r.d.Doors[0].Port() != 4028 {
		t.Errorf("at %s", r.d.Doors[0])
	}
	if _, _, msg := ask(`{"cmd":"get_version"}`); msg["fw_ver"] != "20251209.16.Rel2" {
		t.Errorf("version %v", msg)
	}
	if _, _, msg := ask(`{"cmd":"get_miner_info"}`); msg["minersn"] != r.d.Serial {
		t.Errorf("it is %v", msg)
	}
	for _, request := range []string{`{"cmd":"get_token"}`, `{"cmd":"power_off","token":"x"}`, `{"enc":1,"data":"AAAA"}`} {
		if status, code, _ := ask(request); status != "E" || code != 45 {
			t.Errorf("%s: %s %d", request, status, code)
		}
	}
	r.settled(r.d.Watts(), 1, "after orders that it does not take")
}
