package braiins

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/counterweight-dev/counterweight/internal/minersim"
	"github.com/counterweight-dev/counterweight/internal/minersim/overhttp"
)

// bosVersion is the release, as recorded from firmware 26.04.
const bosVersion = "2026-04-14-0-912d084c-26.04-plus"

// page is the firmware's own, by whose title people and programs tell it (drivers of others).
const page = `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Braiins OS</title></head><body><div id="root"></div></body></html>`

// addPage serves what is beside the REST interface: the page, and as much of the older GraphQL interface as
// others ask to learn what the machine is. It lets anyone ask that.
func addPage(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if !overhttp.Device(r).Reachable() {
			overhttp.HangUp(w)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	})
	mux.HandleFunc("POST /graphql", graphql)
}

// graphql answers the questions for the model and the version; others are refused in its own way, with a status of 200.
func graphql(w http.ResponseWriter, r *http.Request) {
	d := overhttp.Device(r)
	body, err := overhttp.Body(w, r)
	var q struct {
		Query string `json:"query"`
	}
	if err == nil {
		err = json.Unmarshal(body, &q)
	}
	if err != nil {
		answer(w, nil, failure{http.StatusBadRequest, err.Error()})
		return
	}
	reachable, model := false, ""
	d.Do(func(m *minersim.Machine) { reachable, model = m.Reachable(), m.Model.Name })
	switch query := strings.Join(strings.Fields(q.Query), ""); {
	case !reachable:
		overhttp.HangUp(w)
	case query == "{bosminer{info{modelName}}}":
		answer(w, object{"data": object{"bosminer": object{"info": object{"modelName": model}}}}, nil)
	case query == "{bos{info{version{full}}}}":
		answer(w, object{"data": object{"bos": object{"info": object{"version": object{"full": bosVersion}}}}}, nil)
	default:
		answer(w, object{"data": nil, "errors": []object{{"message": "Unknown field"}}}, nil)
	}
}
