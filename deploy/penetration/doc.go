// Package penetration contains tests that attack a real coordinator's NATS server with an agent's credentials and
// without any.
package penetration
