package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSVG(t *testing.T) {
	var out strings.Builder
	require.NoError(t, Chart{
		Title: "a < b", Unit: "ms", Groups: []string{"0 %", "2 %"},
		Series: []Series{
			{Name: "one", Values: []Value{{Known: true, Low: 120, High: 180}, {}}},
			{Name: "two", Values: []Value{{Known: true, Low: 90, High: 100}, {Known: true, Low: 10, High: 20}}},
		},
	}.WriteSVG(&out))
	bars := 0
	for d := xml.NewDecoder(strings.NewReader(out.String())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "title" {
			bars++
		}
	}
	require.Equal(t, 3, bars, "one for each known value")
	require.Contains(t, out.String(), ">200</text>", "the axis ends at a round number")
}

func TestEmptyChart(t *testing.T) {
	require.NoError(t, Chart{}.WriteSVG(io.Discard))
}
