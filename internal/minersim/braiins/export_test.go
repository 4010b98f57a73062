package braiins

// Ask takes a query apart and asks a small document for it.
func Ask(query string) any {
	fields, err := parseQuery(query)
	if err != nil {
		return err.Error()
	}
	return project(object{"a": object{"b": []object{{"c": 1}}}, "d": action(func(args string) any { return args })}, fields)
}
