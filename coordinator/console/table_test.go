package console

import "testing"

// Agents write many of the texts, and a spreadsheet computes a cell that begins like a formula.
func TestCellsOfCSVAreNoFormulas(t *testing.T) {
	for value, want := range map[any]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1",
		" =1": "' =1", "|calc": "'|calc", "ping": "ping", "": "", -1.5: "-1.5", -3: "-3", true: "true",
	} {
		if got := csvCell(value); got != want {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
	if got := csvCell(nil); got != "" {
		t.Errorf("a value that is not known: %q", got)
	}
}
