// Package plot draws bar charts as SVG.
package plot

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// Chart compares series of values in groups. A bar reaches to the value, the line on it to the
// high value.
type Chart struct {
	Title  string
	Unit   string // of the values
	Groups []string
	Series []Series
}

// Series is a bar in each group.
type Series struct {
	Name   string
	Values []Value // one for each group
}

// Value is a bar and the line on it. Without Known nothing is drawn.
type Value struct {
	Known     bool
	Low, High float64
}

const (
	width, height         = 860, 420
	left, right, top      = 70, 20, 50
	bottom                = 80
	plotWidth, plotHeight = width - left - right, height - top - bottom
)

// colours differ in lightness too. They are readable on a light and on a dark page.
var colours = []string{"#8a8f98", "#3b82c4", "#e08a2e", "#3f9d5a", "#a06bc4", "#c94f4f", "#6bb5b5", "#b59b3a", "#555f8a"}

// WriteSVG writes the chart.
func (c Chart) WriteSVG(to io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="15">%s</text>`+"\n", left, html.EscapeString(c.Title))
	most := c.most()
	c.axis(&b, most)
	for g, name := range c.Groups {
		c.group(&b, g, name, most)
	}
	c.legend(&b)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(to, b.String())

	return err
}

// most returns the end of the axis: a round number that no value exceeds.
func (c Chart) most() float64 {
	most := 0.
	for _, s := range c.Series {
		for _, v := range s.Values {
			if v.Known {
				most = max(most, v.Low, v.High)
			}
		}
	}
	if most == 0 {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, f := range []float64{1, 2, 5, 10} {
		if f*step >= most {
			return f * step
		}
	}

	return 10 * step
}

func (c Chart) axis(b *strings.Builder, most float64) {
	const lines = 5
	for i := range lines + 1 {
		v := most * float64(i) / lines
		y := yOf(v, most)
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#dddddd"/>`+"\n", left, width-right, y, y)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n", left-6, y+4, v)
	}
	fmt.Fprintf(b, `<text x="12" y="%d" transform="rotate(-90 12 %d)" text-anchor="middle">%s</text>`+"\n",
		top+plotHeight/2, top+plotHeight/2, html.EscapeString(c.Unit))
}

func (c Chart) group(b *strings.Builder, g int, name string, most float64) {
	whole := float64(plotWidth) / float64(len(c.Groups))
	bar := whole * .84 / float64(len(c.Series))
	begin := left + whole*(float64(g)+.08)
	fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
		left+whole*(float64(g)+.5), top+plotHeight+18, html.EscapeString(name))
	for i, s := range c.Series {
		v := s.Values[g]
		if !v.Known {
			continue
		}
		x, y := begin+bar*float64(i), yOf(v.Low, most)
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s, %s: %.4g, %.4g %s</title></rect>`+"\n",
			x, y, bar*.9, top+plotHeight-y, colour(i), html.EscapeString(s.Name), html.EscapeString(name), v.Low, v.High, html.EscapeString(c.Unit))
		middle := x + bar*.45
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#222222"/>`+"\n", middle, middle, y, yOf(v.High, most))
	}
}

func (c Chart) legend(b *strings.Builder) {
	const columns, column, row = 5, 156, 18
	for i, s := range c.Series {
		x, y := left+i%columns*column, top+plotHeight+36+i/columns*row
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="11" height="11" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			x, y, colour(i), x+15, y+10, html.EscapeString(s.Name))
	}
}

func colour(i int) string { return colours[i%len(colours)] }

func yOf(v, most float64) float64 { return top + plotHeight*(1-v/most) }
