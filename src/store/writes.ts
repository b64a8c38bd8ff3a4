/** Tells who keeps derived values in memory that a table was written to, whoever wrote it. */
import {
  TableNode,
  type KyselyPlugin,
  type OperationNode,
  type PluginTransformQueryArgs,
  type PluginTransformResultArgs,
  type QueryResult,
  type RootOperationNode,
  type UnknownRow,
} from "kysely";
import type { Schema } from "./schema.ts";

export type TableName = keyof Schema;

/**
 * A Kysely plugin that reports writes. A listener hears of a write inside a transaction
 * before its commit; as there is one connection, whatever it reads next waits for the commit.
 */
export class WriteNotices implements KyselyPlugin {
  readonly #listeners = new Map<string, (() => void)[]>();

  on(table: TableName, listener: () => void): void {
    this.#listeners.set(table, [...(this.#listeners.get(table) ?? []), listener]);
  }

  transformQuery({ node }: PluginTransformQueryArgs): RootOperationNode {
    const table = writtenTable(node);
    if (table !== undefined) for (const listener of this.#listeners.get(table) ?? []) listener();
    return node;
  }

  transformResult({ result }: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> {
    return Promise.resolve(result);
  }
}

function writtenTable(node: RootOperationNode): string | undefined {
  switch (node.kind) {
    case "InsertQueryNode":
      return tableName(node.into);
    case "UpdateQueryNode":
      return tableName(node.table);
    case "DeleteQueryNode":
      return tableName(node.from.froms[0]);
    default:
      return undefined;
  }
}

function tableName(node: OperationNode | undefined): string | undefined {
  return node !== undefined && TableNode.is(node) ? node.table.identifier.name : undefined;
}
