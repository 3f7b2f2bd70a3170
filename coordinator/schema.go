package main

import (
	"github.com/spf13/cobra"

	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
)

const schemaLong = `
Schema prints the JSON Schema (draft 2020-12) of catalogs, with which editors complete and check the file as
it is written. It needs no running coordinator. "coordinator check" knows more: what fits the schema may still
have mistakes.`

func newSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of catalogs",
		Long:    schemaLong,
		Example: "  coordinator schema > catalog.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(catalogfile.Schema())
			return err
		},
	}
}
