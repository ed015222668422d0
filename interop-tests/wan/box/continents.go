package box

import "time"

// Continents names the five continents of RoundTrip, by a city with data centres of each.
var Continents = [...]string{"Europe (Frankfurt)", "North America (Virginia)", "South America (São Paulo)", "Asia (Singapore)", "Australia (Sydney)"}

// roundTrips holds typical round trips between data centres, in milliseconds.
var roundTrips = [len(Continents)][len(Continents)]int{
	{10, 90, 200, 160, 280},
	{90, 10, 120, 220, 200},
	{200, 120, 10, 320, 310},
	{160, 220, 320, 10, 95},
	{280, 200, 310, 95, 10},
}

// RoundTrip returns the round trip between two continents, or within one, given by their
// index in Continents.
func RoundTrip(a, b int) time.Duration {
	return time.Duration(roundTrips[a][b]) * time.Millisecond
}
