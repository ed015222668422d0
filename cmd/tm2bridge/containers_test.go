package main

import (
	"net"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

// composed is a service of deploy/compose.yaml.
type composed struct {
	Image     string
	Build     struct{ Context, Dockerfile string }
	Command   []string
	Ports     []string
	Volumes   []string
	DependsOn []string `yaml:"depends_on"`
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	require.NoError(t, yaml.Unmarshal([]byte(pagetest.Read(t, file)), into), file)
}

// services returns those of the compose file, which all have to be complete.
func services(t *testing.T) map[string]composed {
	t.Helper()
	var file struct{ Services map[string]composed }
	readYAML(t, "deploy/compose.yaml", &file)
	require.NotEmpty(t, file.Services)

	return file.Services
}

// port returns the port that a service publishes, which is to be reached from its host only.
func (c composed) port(t *testing.T) string {
	t.Helper()
	require.Len(t, c.Ports, 1)
	host, inside, found := strings.Cut(strings.TrimPrefix(c.Ports[0], "127.0.0.1:"), ":")
	require.True(t, found && strings.HasPrefix(c.Ports[0], "127.0.0.1:"), c.Ports[0])
	require.Equal(t, host, inside)

	return inside
}

// mounted returns where a file of deploy/ is in the container.
func (c composed) mounted(t *testing.T, file string) string {
	t.Helper()
	for _, v := range c.Volumes {
		if at, ok := strings.CutPrefix(v, "./"+file+":"); ok {
			require.True(t, strings.HasSuffix(at, ":ro"), v)

			return strings.TrimSuffix(at, ":ro")
		}
	}
	require.Fail(t, "not mounted", file)

	return ""
}

// The services of the compose file find each other, their files, and a command that tm2bridge has.
func TestComposeFile(t *testing.T) {
	all := services(t)
	for name, c := range all {
		for _, other := range c.DependsOn {
			require.Contains(t, all, other)
		}
		for _, v := range c.Volumes {
			file, _, _ := strings.Cut(v, ":")
			pagetest.Read(t, filepath.Join("deploy", file))
		}
		require.Equal(t, c.Image == "", c.Build.Dockerfile != "", name)
		if c.Image != "" {
			require.Regexp(t, `^[a-z/]+:v?[0-9.]+$`, c.Image, "a version, so that it stays what was tried")
		}
	}

	demo := all["demo"]
	require.Contains(t, pagetest.Read(t, path.Join("deploy", demo.Build.Context, demo.Build.Dockerfile)), "ENTRYPOINT")
	cmd, args, err := newRoot().Find(demo.Command)
	require.NoError(t, err)
	require.Equal(t, "demo", cmd.Name())
	require.NoError(t, cmd.ParseFlags(args))
	require.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()))
	require.Equal(t, "0.0.0.0:"+demo.port(t), cmd.Flags().Lookup("http").Value.String())

	var prometheus struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string                       `yaml:"job_name"`
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, "deploy/prometheus.yml", &prometheus)
	require.Equal(t, []string{"demo:" + demo.port(t)}, prometheus.ScrapeConfigs[0].StaticConfigs[0].Targets)
	at := all["prometheus"].mounted(t, "prometheus.yml")
	require.Equal(t, "/etc/prometheus/prometheus.yml", at, "where the image looks for it")
	require.Equal(t, []string{path.Base(all["prometheus"].mounted(t, "alerts.yml"))}, prometheus.RuleFiles)
	require.Equal(t, path.Dir(at), path.Dir(all["prometheus"].mounted(t, "alerts.yml")))
}

// Grafana finds the dashboard, Prometheus, and what to provision.
func TestGrafanaIsProvisioned(t *testing.T) {
	all := services(t)
	var dashboards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	readYAML(t, "deploy/grafana-provisioning.yml", &dashboards)
	require.Equal(t, path.Dir(all["grafana"].mounted(t, "grafana.json")), dashboards.Providers[0].Options.Path)
	var sources struct{ Datasources []struct{ URL string } }
	readYAML(t, "deploy/grafana-datasource.yml", &sources)
	at, err := url.Parse(sources.Datasources[0].URL)
	require.NoError(t, err)
	require.Equal(t, net.JoinHostPort("prometheus", all["prometheus"].port(t)), at.Host)
	for kind, file := range map[string]string{"dashboards": "grafana-provisioning.yml", "datasources": "grafana-datasource.yml"} {
		require.Equal(t, "/etc/grafana/provisioning/"+kind, path.Dir(all["grafana"].mounted(t, file)))
	}
}

// The container file builds this program by the Go version of go.mod, starts it, exposes its
// default ports, and has its default home as a volume, as the page says.
func TestContainerFile(t *testing.T) {
	file, page := pagetest.Read(t, "deploy/Dockerfile"), pagetest.Read(t, "docs/operate.md")
	match := func(text, pattern string) string {
		found := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(text)
		require.NotNil(t, found, pattern)

		return found[1]
	}
	require.True(t, strings.HasPrefix(match(pagetest.Read(t, "go.mod"), `^go (\S+)`), match(file, `^FROM golang:(\S+) AS build`)))
	require.Equal(t, "./cmd/tm2bridge", match(file, `^RUN go build .* (\S+)$`))
	program := match(file, `^COPY --from=build /tm2bridge (\S+)`)
	require.Equal(t, program, match(file, `^ENTRYPOINT \["(.*)"\]`))
	cmd, _, err := newRoot().Find([]string{match(file, `^CMD \["(.*)"\]`)})
	require.NoError(t, err)
	require.Equal(t, "start", cmd.Name())

	t.Setenv("HOME", "/home/nonroot")
	t.Setenv(config.EnvironmentHome, "")
	home, err := config.DefaultHome()
	require.NoError(t, err)
	require.Equal(t, home, match(file, `^VOLUME (\S+)`))
	require.Contains(t, file, " "+home+"\n", "it is made with the rights of its user")
	require.Contains(t, page, "-v tm2bridge:"+home+" ")

	cfg := config.Default()
	var ports []string
	for _, address := range []string{cfg.P2P.ListenAddress, cfg.Bridge.Libp2pListenAddress, cfg.HTTP.ListenAddress} {
		_, port, err := net.SplitHostPort(strings.TrimPrefix(address, "tcp://"))
		require.NoError(t, err)
		ports = append(ports, port)
		require.Contains(t, page, ":"+port+" ")
	}
	exposed := strings.Fields(match(file, `^EXPOSE (.*)`))
	require.Equal(t, slices.Insert(ports, 2, ports[1]+"/udp"), exposed)
}
