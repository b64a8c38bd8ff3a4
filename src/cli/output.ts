/** What a command prints: data on stdout (table, `--json`, or ids only with `--quiet`), everything else on stderr. */

export interface Format {
  readonly json: boolean;
  readonly quiet: boolean;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** One command's result in the three formats. */
export interface Result {
  /** The `--json` document. */
  readonly data: unknown;
  /** What people read; nothing when absent. */
  readonly text?: string;
  /** What `--quiet` prints, one per line. */
  readonly ids?: readonly string[];
}

export function show(format: Format, { data, text, ids }: Result): void {
  if (format.json) print(JSON.stringify(data, null, 2));
  else if (!format.quiet && text !== undefined) print(text);
  else if (format.quiet) for (const id of ids ?? []) print(id);
}

/** Columns as wide as their widest cell. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Quote for a POSIX shell. */
export function quote(value: string): string {
  return /^[\w./:@%+=,-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`;
}
