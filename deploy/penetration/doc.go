// Package penetration contains tests that attack a real coordinator's NATS server with an agent's credentials and
// without any, and the links, mails and webhooks by which people are notified.
package penetration
