/**
 * What the rest of the code may log: a fixed sentence and allow-listed fields. Never a
 * request body, a password, a plaintext or an Authorization header (reliability T22).
 */
export interface LogFields {
  readonly requestId?: string;
  readonly operation?: string;
  readonly principal?: string;
  readonly code?: string;
  readonly status?: number;
  readonly ms?: number;
  readonly id?: string;
  readonly cluster?: string;
  readonly step?: string;
  readonly outcome?: string;
  readonly reason?: string;
  readonly stack?: string;
}

export interface Logger {
  debug(fields: LogFields, sentence: string): void;
  info(fields: LogFields, sentence: string): void;
  warn(fields: LogFields, sentence: string): void;
  error(fields: LogFields, sentence: string): void;
}

/** Says nothing; for tests and tools. */
export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
