package report

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/counterweight-dev/counterweight/internal/rehearsal/meter"
)

// Mark is something that happened, for the picture.
type Mark struct {
	At    time.Time
	Label string
}

// Picture is what to draw.
type Picture struct {
	Title   string
	Zero    time.Time
	Samples []meter.Sample
	Marks   []Mark
}

// Colours that people who see few of them can tell apart too.
var (
	baseColour   = color.NRGBA{0x9a, 0xa5, 0xb1, 0xff}
	miningColour = color.NRGBA{0xf2, 0xb1, 0x34, 0xff}
	aiColour     = color.NRGBA{0x2f, 0x6f, 0xbf, 0xff}
	limitColour  = color.NRGBA{0xb0, 0x1e, 0x2e, 0xff}
	gridColour   = color.NRGBA{0xe4, 0xe7, 0xeb, 0xff}
	markColour   = color.NRGBA{0x33, 0x3b, 0x45, 0xff}
)

const (
	width  = 14 * vg.Inch
	height = 7 * vg.Inch
	// legendWidth is what is left for the legend at the right.
	legendWidth = 1.15 * vg.Inch
	// mostPoints in the picture; more would only make the file larger.
	mostPoints = 1500
	// startupShown is how much of the time before the timeline is drawn.
	startupShown = 20 * time.Second
)

// Save draws the picture as power.svg and power.png into a folder.
func (p Picture) Save(dir string) error {
	points := p.points()
	if len(points) < 2 {
		return fmt.Errorf("too few samples to draw a picture")
	}
	canvas, legend := plot.New(), plot.NewLegend()
	u := p.scales(canvas, points)
	if err := p.areas(canvas, &legend, points, u); err != nil {
		return fmt.Errorf("drawing the picture: %w", err)
	}
	if err := p.marks(canvas); err != nil {
		return fmt.Errorf("drawing the picture: %w", err)
	}
	for _, format := range []string{"svg", "png"} {
		if err := write(canvas, &legend, format, filepath.Join(dir, "power."+format)); err != nil {
			return err
		}
	}
	return nil
}

// write draws the plot, and the legend beside it, where it hides nothing.
func write(canvas *plot.Plot, legend *plot.Legend, format, path string) error {
	sheet, err := draw.NewFormattedCanvas(width, height, format)
	if err != nil {
		return fmt.Errorf("drawing %s: %w", path, err)
	}
	all := draw.New(sheet)
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	canvas.Draw(draw.Crop(all, vg.Points(8), -legendWidth, vg.Points(8), -vg.Points(8)))
	legend.Left, legend.Top = true, true
	legend.Padding, legend.ThumbnailWidth = vg.Points(4), vg.Points(22)
	legend.TextStyle = words(13)
	legend.Draw(draw.Crop(all, width-legendWidth+vg.Points(14), 0, 0, -vg.Points(60)))
	file, err := os.Create(path) //nolint:gosec // G703: the folder is the one that --report-dir names
	if err != nil {
		return fmt.Errorf("saving the picture: %w", err)
	}
	if _, err := sheet.WriteTo(file); err != nil {
		file.Close()
		return fmt.Errorf("saving %s: %w", path, err)
	}
	return file.Close()
}

// words in the picture's own typeface.
func words(size float64) text.Style {
	style := plot.New().X.Label.TextStyle
	style.Font.Variant, style.Font.Size, style.Color = "Sans", vg.Points(size), markColour
	style.XAlign, style.YAlign, style.Rotation = draw.XLeft, draw.YBottom, 0
	return style
}

// point is one instant of the picture, in seconds and watts.
type point struct {
	seconds float64
	sum     meter.Reading
}

// points thins the samples out: of each stretch the one with the most draw over the limit stays, so that
// no excess is smoothed away.
func (p Picture) points() []point {
	var all []point
	for _, s := range p.Samples {
		if s.Missing == "" && !s.At.Before(p.Zero.Add(-startupShown)) {
			all = append(all, point{s.At.Sub(p.Zero).Seconds(), s.Roots()})
		}
	}
	stretch := (len(all) + mostPoints - 1) / mostPoints
	if stretch <= 1 {
		return all
	}
	var out []point
	for chunk := range slices.Chunk(all, stretch) {
		out = append(out, slices.MaxFunc(chunk, func(a, b point) int { return int(a.excess() - b.excess()) }))
	}
	return out
}

// room is the share of the height that the words about what happened need above the limit.
func (p Picture) room() float64 {
	longest := 0
	for _, m := range p.Marks {
		longest = max(longest, len(m.Label))
	}
	const perLetter, least, most = 0.0135, 0.1, 0.45
	return min(max(least, perLetter*float64(longest)+0.03), most)
}

func (p point) excess() int64 {
	if p.sum.Limit == nil {
		return p.sum.Draw()
	}
	return p.sum.Draw() - *p.sum.Limit
}

// scales sets axes, titles and grid, and returns the unit of the power axis.
func (p Picture) scales(canvas *plot.Plot, points []point) unit {
	most := int64(1)
	for _, one := range points {
		most = max(most, one.sum.Draw())
		if one.sum.Limit != nil {
			most = max(most, *one.sum.Limit)
		}
	}
	u := unitFor(most)
	canvas.Title.Text = p.Title
	canvas.Title.TextStyle.Font.Variant, canvas.Title.TextStyle.Font.Size = "Sans", vg.Points(16)
	canvas.Title.Padding = vg.Points(10)
	canvas.X.Label.Text = "time in s"
	canvas.Y.Label.Text = "true draw in " + u.name
	for _, axis := range []*plot.Axis{&canvas.X, &canvas.Y} {
		axis.Label.TextStyle.Font.Variant, axis.Label.TextStyle.Font.Size = "Sans", vg.Points(13)
		axis.Label.Padding = vg.Points(6)
		axis.Tick.Label.Font.Variant, axis.Tick.Label.Font.Size = "Sans", vg.Points(11)
		axis.Tick.Marker = plot.TickerFunc(ticks)
		axis.Padding = 0
	}
	canvas.X.Min, canvas.X.Max = points[0].seconds, points[len(points)-1].seconds
	canvas.Y.Min, canvas.Y.Max = 0, float64(most)/u.watts/(1-p.room())
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridColour, gridColour
	canvas.Add(grid)
	return u
}

// ticks at round numbers, about ten of them.
func ticks(from, to float64) []plot.Tick {
	step := math.Pow(10, math.Floor(math.Log10((to-from)/10)))
	for _, times := range []float64{2, 2.5, 2} { // 1, 2, 5, 10
		if (to-from)/step <= 12 {
			break
		}
		step *= times
	}
	var out []plot.Tick
	for v := math.Ceil(from/step) * step; v <= to+step/1e6; v += step {
		out = append(out, plot.Tick{Value: v, Label: strconv.FormatFloat(math.Round(v/step)*step+0, 'g', 4, 64)})
	}
	return out
}

// areas stacks base, AI and mining, and lays the limit over them.
func (p Picture) areas(canvas *plot.Plot, legend *plot.Legend, points []point, u unit) error {
	lower := func(point) int64 { return 0 }
	stack := []struct {
		name   string
		colour color.NRGBA
		upto   func(point) int64
	}{
		{"base", baseColour, func(x point) int64 { return x.sum.Base }},
		{"AI", aiColour, func(x point) int64 { return x.sum.Base + x.sum.AI }},
		{"mining", miningColour, func(x point) int64 { return x.sum.Draw() }},
	}
	var shown []func()
	for _, layer := range stack {
		area, err := plotter.NewPolygon(outline(points, lower, layer.upto, u))
		if err != nil {
			return err
		}
		area.Color, area.LineStyle.Width = layer.colour, 0
		canvas.Add(area)
		shown = append(shown, func() { legend.Add(layer.name, area) })
		lower = layer.upto
	}
	for i, stretch := range limitStretches(points, u) {
		line, err := plotter.NewLine(stretch)
		if err != nil {
			return err
		}
		line.Color, line.Width, line.StepStyle = limitColour, vg.Points(2.5), plotter.PostStep
		canvas.Add(line)
		if i == 0 {
			shown = append(shown, func() { legend.Add("limit", line) })
		}
	}
	for _, add := range slices.Backward(shown) { // as the layers lie
		add()
	}
	return nil
}

func outline(points []point, lower, upper func(point) int64, u unit) plotter.XYs {
	out := make(plotter.XYs, 0, 2*len(points))
	for _, x := range points {
		out = append(out, plotter.XY{X: x.seconds, Y: float64(upper(x)) / u.watts})
	}
	for _, x := range slices.Backward(points) {
		out = append(out, plotter.XY{X: x.seconds, Y: float64(lower(x)) / u.watts})
	}
	return out
}

// limitStretches are the times with a limit; where there is none, there is no line.
func limitStretches(points []point, u unit) []plotter.XYs {
	var out []plotter.XYs
	open := false
	for _, x := range points {
		if x.sum.Limit == nil {
			open = false
			continue
		}
		if !open {
			out = append(out, nil)
			open = true
		}
		out[len(out)-1] = append(out[len(out)-1], plotter.XY{X: x.seconds, Y: float64(*x.sum.Limit) / u.watts})
	}
	return slices.DeleteFunc(out, func(stretch plotter.XYs) bool { return len(stretch) < 2 })
}

// marks draws a thin line for each event, and its words upright at the top, moved aside where two would
// lie on each other.
func (p Picture) marks(canvas *plot.Plot) error {
	top := canvas.Y.Max
	apart := (canvas.X.Max - canvas.X.Min) * 0.0145
	next := canvas.X.Min
	var labels plotter.XYLabels
	for _, m := range p.Marks {
		x := m.At.Sub(p.Zero).Seconds()
		if x < canvas.X.Min || x > canvas.X.Max || m.Label == "" {
			continue
		}
		line, err := plotter.NewLine(plotter.XYs{{X: x, Y: 0}, {X: x, Y: top}})
		if err != nil {
			return err
		}
		line.Color, line.Width, line.Dashes = markColour, vg.Points(0.7), []vg.Length{vg.Points(3), vg.Points(3)}
		canvas.Add(line)
		at := max(x, next)
		next = at + apart
		labels.XYs = append(labels.XYs, plotter.XY{X: at, Y: top})
		labels.Labels = append(labels.Labels, m.Label)
	}
	if len(labels.Labels) == 0 {
		return nil
	}
	drawn, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	for i := range drawn.TextStyle {
		style := words(11)
		style.Rotation, style.XAlign, style.YAlign = math.Pi/2, draw.XRight, draw.YTop
		drawn.TextStyle[i] = style
	}
	drawn.Offset = vg.Point{X: vg.Points(3), Y: -vg.Points(4)}
	canvas.Add(drawn)
	return nil
}
