package notify

// MessageID is the id of a message about a step of an alert to a channel.
var MessageID = messageID

// Size is how many messages are remembered.
func (s *State) Size() int { return max(len(s.sent), len(s.steps)) }
