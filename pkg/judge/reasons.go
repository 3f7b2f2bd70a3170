package judge

// Texts of a snapshot by which its readers distinguish reasons and advisories.
const (
	// AskedAgain is why an ok from before the open round counts neither way.
	AskedAgain = "asked to probe again, no answer yet"
	// InconclusivePrefix begins why a vantage abstains whose latest result was inconclusive.
	InconclusivePrefix = "inconclusive: "
	// FilteredPrefix begins the reason of an ok on a ping that was lost while the host proved that it is alive, and the
	// advisory about such pings.
	FilteredPrefix = "ping filtered: "
	// PathPrefix begins the advisory about a check that only one region does not reach.
	PathPrefix = "path from "
)
