// Totals the orders of a day: an ordinary program that knows nothing of Clockjack.
//
//	orders FOLDER [DAY]
//
// The orders of a day are in FOLDER/DAY.csv; without DAY it is the day before the slot. The totals go to standard output
// and, for programs, to /out/result.json. Exit codes: 75 when the file is not there yet, 65 when it cannot be understood.
package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// As in sysexits.h.
const (
	exitUsage     = 64
	exitBadData   = 65
	exitTryLater  = 75
	exitCannotOut = 73
)

// Totals is what /out/result.json has.
type Totals struct {
	Day        string           `json:"day"`
	Orders     int              `json:"orders"`
	ByCurrency map[string]int64 `json:"by_currency"`
	Largest    string           `json:"largest,omitempty"`
}

func main() {
	if len(os.Args) < 2 || 3 < len(os.Args) {
		give(exitUsage, errors.New("usage: orders FOLDER [DAY]"))
	}
	day, err := wantedDay(os.Args[2:])
	if err != nil {
		give(exitUsage, err)
	}
	file, err := os.Open(filepath.Join(os.Args[1], day+".csv"))
	if errors.Is(err, fs.ErrNotExist) {
		give(exitTryLater, fmt.Errorf("the orders of %s are not there yet", day))
	} else if err != nil {
		give(exitUsage, err)
	}
	totals, err := read(day, file)
	if err != nil {
		give(exitBadData, err)
	}

	fmt.Printf("%s: %d orders\n", day, totals.Orders)
	for _, currency := range slices.Sorted(maps.Keys(totals.ByCurrency)) {
		cents := totals.ByCurrency[currency]
		fmt.Printf("%s %d.%02d\n", currency, cents/100, cents%100)
	}
	result, err := json.Marshal(totals)
	if err == nil {
		err = os.WriteFile("/out/result.json", result, 0o644)
	}
	if err != nil {
		give(exitCannotOut, err)
	}
}

// The host tells for which instant the program was planned, so that a late run still works on the right day.
func wantedDay(words []string) (string, error) {
	if len(words) == 1 {
		_, err := time.Parse(time.DateOnly, words[0])
		return words[0], err
	}
	slot, err := time.Parse(time.RFC3339, os.Getenv("CLOCKJACK_SCHEDULED_FOR"))
	return slot.AddDate(0, 0, -1).Format(time.DateOnly), err
}

// Reads `id,currency,amount` lines.
func read(day string, file io.Reader) (Totals, error) {
	totals := Totals{Day: day, ByCurrency: map[string]int64{}}
	var largest int64
	lines := csv.NewReader(file)
	lines.FieldsPerRecord = 3
	if _, err := lines.Read(); err != nil {
		return totals, fmt.Errorf("no header: %w", err)
	}
	for {
		fields, err := lines.Read()
		if err == io.EOF {
			return totals, nil
		} else if err != nil {
			return totals, err
		}
		cents, err := cents(fields[2])
		if err != nil {
			return totals, fmt.Errorf("order %s: %w", fields[0], err)
		}
		totals.Orders++
		totals.ByCurrency[fields[1]] += cents
		if largest < cents {
			largest, totals.Largest = cents, fields[0]
		}
	}
}

// Money is counted in cents: `12.5` and `12.50` are 1250.
func cents(text string) (int64, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	if 2 < len(fraction) {
		return 0, fmt.Errorf("`%s` has more than two decimals", text)
	}
	return strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
}

func give(code int, err error) {
	fmt.Fprintln(os.Stderr, "orders:", err)
	os.Exit(code)
}
