// Package penetration holds the tests that attack a real coordinator's bus with an agent's credentials and with none.
package penetration
