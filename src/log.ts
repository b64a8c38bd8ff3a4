/** The log: one JSON object per line on stderr, with the allow-listed fields of core/logger.ts and nothing else. */
import { pino, destination } from "pino";
import type { LogFields, Logger } from "./core/logger.ts";

export function createLog(level: "debug" | "info" | "warn" | "error"): Logger {
  const log = pino(
    { level, base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` },
    destination({ dest: 2, sync: true }),
  );
  const at = (method: "debug" | "info" | "warn" | "error") => (fields: LogFields, sentence: string) =>
    log[method](fields, sentence);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
