package catalog

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SetOption sets one of the check's options by the key that catalogs use for it. The keys that say where to connect are
// none of them: a command line has an address for that. A list is given as a,b or by the key once for each item.
func (c *Check) SetOption(key, value string) error {
	if _, err := strconv.Atoi(value); c.Kind == KindHTTP && key == "status" && err != nil {
		key = "statuses" // a catalog has one key for both
	}
	options := reflect.New(reflect.TypeOf(c.Options)).Elem()
	options.Set(reflect.ValueOf(c.Options))
	var keys []string
	for _, field := range reflect.VisibleFields(options.Type()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous || slices.Contains([]string{"port", "url"}, name) {
			continue
		}
		if keys = append(keys, name); name != key {
			continue
		}
		if err := setField(options.FieldByIndex(field.Index), key, value); err != nil {
			return err
		}
		c.Options = options.Interface().(Options)
		return nil
	}
	if len(keys) == 0 {
		return fmt.Errorf("a %s check has no key %q", c.Kind, key)
	}
	return fmt.Errorf("a %s check has no key %q; its keys are %s", c.Kind, key, strings.Join(keys, ", "))
}

func setField(field reflect.Value, key, value string) error {
	switch field.Kind() {
	case reflect.String:
		field.SetString(value)
	case reflect.Int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%s is %q: write a whole number", key, value)
		}
		field.SetInt(int64(n))
	case reflect.Bool:
		if value != "true" && value != "false" {
			return fmt.Errorf("%s is %q: write true or false", key, value)
		}
		field.SetBool(value == "true")
	case reflect.Int64: // a time.Duration
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%s is %q: write a number and a unit, as in 10s", key, value)
		}
		field.SetInt(int64(d))
	case reflect.Slice: // a value with a comma in it is given by a key of its own
		for item := range strings.SplitSeq(value, ",") {
			element := reflect.New(field.Type().Elem()).Elem()
			if err := setField(element, key, strings.TrimSpace(item)); err != nil {
				return err
			}
			field.Set(reflect.Append(field, element))
		}
	case reflect.Map: // of texts by text: one pair
		name, text, found := strings.Cut(value, "=")
		if !found {
			return fmt.Errorf("%s is %q: write a name, an equals sign and a value", key, value)
		}
		pairs := map[string]string{}
		for _, k := range field.MapKeys() {
			pairs[k.String()] = field.MapIndex(k).String()
		}
		pairs[name] = text
		field.Set(reflect.ValueOf(pairs))
	default:
		return fmt.Errorf("%s cannot be given here", key)
	}
	return nil
}

// SetPort sets the port of options that have one.
func (c *Check) SetPort(port int) {
	options := reflect.New(reflect.TypeOf(c.Options)).Elem()
	options.Set(reflect.ValueOf(c.Options))
	if field := options.FieldByName("Port"); field.IsValid() {
		field.SetInt(int64(port))
		c.Options = options.Interface().(Options)
	}
}

// ValidateOptions returns an error if no check of the kind can have these options.
func (c *Check) ValidateOptions() error { return c.Options.validate() }
