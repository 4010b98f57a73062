package gate_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// docs/security.md lists every right of the operator, each with a reason, and no other.
func TestTheSecurityPageListsTheOperatorsRights(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| role | group | resources | verbs | why |\n|---|---|---|---|---|\n")
	if !found {
		t.Fatal("docs/security.md has no table of the operator's rights")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var said, given []string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 || strings.TrimSpace(cells[4]) == "" {
			t.Errorf("not a right and its reason: %s", line)
			continue
		}
		said = append(said, strings.TrimSpace(strings.Join(cells[:4], "|")))
	}
	for _, file := range []string{"rbac/operator_role", "rbac/leader_election_role", "rbac/authority_role", "mining/role"} {
		for name, role := range roles(t, "../../config/"+file+".yaml") {
			for _, r := range role.Rules {
				resources := strings.Join(r.Resources, ", ")
				if len(r.ResourceNames) > 0 {
					resources += " (" + strings.Join(r.ResourceNames, ", ") + ")"
				}
				group := strings.Join(r.APIGroups, ", ")
				if group == "" {
					group = "core"
				}
				given = append(given, fmt.Sprintf("%s | %s | %s | %s",
					strings.TrimPrefix(name, "counterweight-"), group, resources, strings.Join(r.Verbs, ", ")))
			}
		}
	}
	slices.Sort(said)
	slices.Sort(given)
	for _, right := range given {
		if !slices.Contains(said, right) {
			t.Errorf("docs/security.md does not argue: %s", right)
		}
	}
	for _, right := range said {
		if !slices.Contains(given, right) {
			t.Errorf("docs/security.md argues what no role gives: %s", right)
		}
	}
}
