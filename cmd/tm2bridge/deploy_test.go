package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

// expressions returns the PromQL of every panel and annotation of the dashboard.
func expressions(t *testing.T) (list []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title, Description string
			Targets            []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	require.NoError(t, json.Unmarshal([]byte(pagetest.Read(t, "deploy/grafana.json")), &dashboard))
	for _, p := range dashboard.Panels {
		require.NotEmpty(t, p.Title)
		require.NotEmpty(t, p.Description, p.Title)
		for _, target := range p.Targets {
			list = append(list, target.Expr)
		}
	}
	for _, a := range dashboard.Annotations.List {
		list = append(list, a.Expr)
	}
	require.Greater(t, len(list), 15)

	return list
}

// The dashboard and the alerts use metrics that the pages list.
func TestDashboardAndAlertsUseMetricsThatExist(t *testing.T) {
	page := pagetest.Read(t, "docs/metrics.md")
	text := strings.Join(expressions(t), "\n") + pagetest.Read(t, "deploy/alerts.yml") + pagetest.Read(t, "deploy/alerts_test.yml")
	names := regexp.MustCompile(`tm2_[a-z_]+`).FindAllString(text, -1)
	require.Greater(t, len(names), 30)
	for _, name := range names {
		require.Contains(t, page, "`"+strings.TrimSuffix(name, "_bucket")+"`")
	}
}

// The dashboard or an alert uses every metric of the bridge that the page lists, and each panel is
// seen: no two have one ID, which Grafana would mix up, or one place.
func TestDashboardShowsTheBridge(t *testing.T) {
	_, section, found := strings.Cut(pagetest.Read(t, "docs/metrics.md"), "\n## The bridge\n")
	require.True(t, found)
	dashboard := pagetest.Read(t, "deploy/grafana.json")
	watched := dashboard + pagetest.Read(t, "deploy/alerts.yml")
	names := regexp.MustCompile("`(tm2_bridge_[a-z_]+)`").FindAllStringSubmatch(section, -1)
	require.Greater(t, len(names), 20)
	for _, name := range names {
		require.True(t, regexp.MustCompile(name[1]+`(_bucket)?\b`).MatchString(watched), name[1])
	}

	var shown struct {
		Panels []struct {
			ID      int
			GridPos struct{ X, Y, W, H int }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(dashboard), &shown))
	ids, places := map[int]bool{}, map[[2]int]int{}
	for _, p := range shown.Panels {
		require.False(t, ids[p.ID], "panel %d", p.ID)
		ids[p.ID] = true
		at := p.GridPos
		require.Positive(t, at.W*at.H)
		require.LessOrEqual(t, at.X+at.W, 24, "panel %d", p.ID)
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				require.Zero(t, places[[2]int{x, y}], "panel %d", p.ID)
				places[[2]int{x, y}] = p.ID
			}
		}
	}
}

// promtool reads the rules, passes their tests, and reads the expressions of the dashboard.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: it is in Debian's package prometheus")
	}
	check := func(args ...string) {
		out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	check("check", "rules", "../../deploy/alerts.yml")
	check("test", "rules", "../../deploy/alerts_test.yml")
	check("check", "config", "../../deploy/prometheus.yml")

	rules := "groups:\n- name: dashboard\n  rules:\n"
	for i, expr := range expressions(t) {
		expr = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(expr)
		rules += fmt.Sprintf("  - record: panel:%d\n    expr: %q\n", i, expr)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(file, []byte(rules), 0o600))
	check("check", "rules", file)
}
