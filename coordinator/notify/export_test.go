package notify

// MessageID is the id of a message about a step of an alert to a channel.
var MessageID = messageID
