package history

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/crawl"
)

// The drawing, in pixels.
const (
	svgWidth, svgHeight  = 960, 420
	left, right          = 60, 20
	top, bottom          = 60, 50
	maxPoints            = 600 // summaries that are drawn
	gridLines, timeMarks = 4, 5
)

// layer is one kind of nodes in the stack of areas.
type layer struct {
	name, color string
	count       func(crawl.Summary) int
}

// layers from the bottom up.
var layers = []layer{
	{"native only", "#8a94a6", func(s crawl.Summary) int { return s.Native }},
	{"both stacks", "#f2a93b", func(s crawl.Summary) int { return s.Both }},
	{"libp2p only", "#2f7ed8", func(s crawl.Summary) int { return s.Libp2p }},
}

// WriteSVG draws how many nodes of each kind there were over time, as stacked areas. The list
// is in the order of time and not empty.
func WriteSVG(out io.Writer, list []crawl.Summary) error {
	list = Thin(list, maxPoints)
	p := newPlot(list)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", svgWidth, svgHeight)
	title := html.EscapeString(cli.OneLine("Nodes of "+list[len(list)-1].Network+" by stack", 0))
	fmt.Fprintf(&b, `<title>%s</title><rect width="100%%" height="100%%" fill="#fff"/>`+"\n", title)
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="16">%s</text>`+"\n", left, title)
	p.axes(&b)
	for i, l := range layers {
		fmt.Fprintf(&b, `<path fill="%s" fill-opacity="0.85" d="%s"><title>%s</title></path>`+"\n", l.color, p.area(i), l.name)
		fmt.Fprintf(&b, `<rect x="%d" y="36" width="12" height="12" fill="%s"/><text x="%d" y="46">%s: %d</text>`+"\n",
			left+i*160, l.color, left+i*160+18, l.name, l.count(list[len(list)-1]))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(out, b.String())

	return err
}

// plot places summaries in the drawing.
type plot struct {
	list     []crawl.Summary
	from, to time.Time
	most     int // nodes at the upper edge
}

func newPlot(list []crawl.Summary) *plot {
	p := &plot{list: list, from: list[0].Time, to: list[len(list)-1].Time}
	for _, s := range list {
		p.most = max(p.most, upTo(s, len(layers)))
	}
	p.most = (max(p.most, 1) + gridLines - 1) / gridLines * gridLines

	return p
}

// upTo counts the nodes of the first n layers.
func upTo(s crawl.Summary, n int) (sum int) {
	for _, l := range layers[:n] {
		sum += l.count(s)
	}

	return sum
}

// x is where a time is. A single point of time is drawn over the whole width.
func (p *plot) x(at time.Time) float64 {
	span := p.to.Sub(p.from).Seconds()
	if span <= 0 {
		return left
	}

	return left + (svgWidth-left-right)*at.Sub(p.from).Seconds()/span
}

func (p *plot) y(nodes int) float64 {
	return svgHeight - bottom - (svgHeight-top-bottom)*float64(nodes)/float64(p.most)
}

// area is the path around a layer: along its upper edge and back along its lower one.
func (p *plot) area(i int) string {
	var forth, back []string
	add := func(x float64, s crawl.Summary) {
		forth = append(forth, fmt.Sprintf("%.1f,%.1f", x, p.y(upTo(s, i+1))))
		back = append(back, fmt.Sprintf("%.1f,%.1f", x, p.y(upTo(s, i))))
	}
	for _, s := range p.list {
		add(p.x(s.Time), s)
	}
	if !p.to.After(p.from) {
		add(svgWidth-right, p.list[len(p.list)-1])
	}
	for a, z := 0, len(back)-1; a < z; a, z = a+1, z-1 {
		back[a], back[z] = back[z], back[a]
	}

	return "M" + strings.Join(append(forth, back...), "L") + "Z"
}

func (p *plot) axes(b *strings.Builder) {
	for i := range gridLines + 1 {
		nodes := p.most * i / gridLines
		fmt.Fprintf(b, `<path stroke="#ddd" d="M%d,%.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%d</text>`+"\n",
			left, p.y(nodes), svgWidth-right, left-8, p.y(nodes)+4, nodes)
	}
	for i := range timeMarks {
		at := p.from.Add(p.to.Sub(p.from) * time.Duration(i) / (timeMarks - 1))
		anchor := map[int]string{0: "start", timeMarks - 1: "end"}[i]
		if anchor == "" {
			anchor = "middle"
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="%s">%s</text>`+"\n",
			p.x(at), svgHeight-bottom+20, anchor, at.UTC().Format("2006-01-02 15:04"))
		if !p.to.After(p.from) {
			return
		}
	}
}
