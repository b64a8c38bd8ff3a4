/**
 * Configuration: flags > KEYSTEAD_* environment > keystead.yaml > defaults. Every knob is
 * documented here; secrets can also come from a file named by KEYSTEAD_…_FILE.
 */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { credentials, resolveCredentials, type Credential } from "./access/credentials.ts";
import { Refusal } from "./core/errors.ts";

/** Where distributions install SoftHSM2; the first that exists is the default module. */
const MODULE_PATHS = [
  "/usr/lib/softhsm/libsofthsm2.so",
  "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
  "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
  "/usr/lib64/softhsm/libsofthsm2.so",
  "/usr/lib64/libsofthsm2.so",
  "/usr/local/lib/softhsm/libsofthsm2.so",
  "/opt/homebrew/lib/softhsm/libsofthsm2.so",
] as const;

/** SoftHSM's configuration is lines of `key = value`: a control character in a path would add a line. */
const path = z
  .string()
  .min(1)
  .refine(
    (text) => Array.from(text).every((character) => character >= " "),
    "must be a path without control characters",
  );

const password = z.string().regex(/^[A-Za-z0-9]{7,32}$/, "must be 7 to 32 letters and digits");

const schema = z.strictObject({
  /** dev: a temporary data directory with a demo cluster and key store; serve: a kept one. */
  mode: z.enum(["dev", "serve"]).default("serve"),
  /** Address to listen on. */
  host: z.string().default("127.0.0.1"),
  /** Port for KMS, CloudHSM V2, STS and the management API; 0 chooses a free one. */
  port: z.coerce.number().int().min(0).max(65_535).default(4599),
  /** Tokens and state database; needed by `serve`. */
  dataDir: path.optional(),
  /** `serve` on a temporary data directory that is removed at the end; for in-process use. */
  temporary: z.boolean().default(false),
  /** sigv4 verifies signatures of the configured credentials; iam also asks policies and grants; any takes every request. */
  auth: z.enum(["sigv4", "iam", "any"]).default("sigv4"),
  /** Lets `--auth any` listen on an address other machines can reach. */
  allowAnonymousRemote: z.stringbool().or(z.boolean()).default(false),
  /** Host names answered besides the loopback ones. */
  allowedHosts: z.array(z.string()).default([]),
  /** How long connects and cluster lifecycles take. */
  timing: z.enum(["instant", "dev", "aws"]).default("dev"),
  /** aws limits request rates as AWS does; counted quotas hold always. */
  quotas: z.enum(["off", "aws"]).default("off"),
  /** Seconds of virtual time until a new grant counts without its token, as AWS's eventual consistency has it. */
  grantLag: z.coerce.number().min(0).max(3600).default(0),
  /** PKCS#11 library. */
  module: path.optional(),
  /** Who runs the data-key verbs. */
  backend: z.enum(["native", "graphene"]).default("native"),
  logLevel: z.enum(["debug", "info", "warn", "error"]).default("warn"),
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d$/)
    .default("us-east-1"),
  account: z
    .string()
    .regex(/^\d{12}$/)
    .default("000000000000"),
  /** Who may sign requests; `test`/`test` when absent. */
  credentials: credentials.default([{ accessKeyId: "test", secretAccessKey: "test", policies: [] }]),
  /** Bearer token of the management API on a non-loopback address; generated when absent. */
  managementToken: z.string().min(16).optional(),
  /** Passwords of dev mode's demo cluster. */
  devAdminPassword: password.default("Adm1nDemo"),
  devKmsuserPassword: password.default("kmsPswd7"),
});

export type Config = Omit<
  z.infer<typeof schema>,
  "dataDir" | "module" | "managementToken" | "credentials"
> & {
  readonly credentials: readonly Credential[];
  readonly dataDir: string | undefined;
  readonly module: string;
  readonly managementToken: string | undefined;
};

type Values = Readonly<Record<string, unknown>>;

/** `KEYSTEAD_DATA_DIR` → `dataDir`; a `_FILE` suffix reads the value from the file it names. */
function fromEnvironment(environment: NodeJS.ProcessEnv): Values {
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(schema.shape)) {
    const variable = `KEYSTEAD_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
    const file = environment[`${variable}_FILE`];
    const text = environment[variable] ?? (file === undefined ? undefined : readSecret(file));
    if (text === undefined || text === "") continue;
    if (name === "credentials") values[name] = parseYaml(text, variable);
    else values[name] = name === "allowedHosts" ? text.split(",") : text;
  }
  return values;
}

function readSecret(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    throw new Refusal(`The file ${file} named by the environment cannot be read.`, 2);
  }
}

function parseYaml(text: string, where: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw new Refusal(`${where} is not valid YAML: ${error instanceof Error ? error.message : ""}`, 2);
  }
}

/** keystead.yaml in the working directory, or the file that KEYSTEAD_CONFIG names. */
function fromFile(environment: NodeJS.ProcessEnv): Values {
  const named = environment["KEYSTEAD_CONFIG"];
  const file = named ?? "keystead.yaml";
  if (!existsSync(file)) {
    if (named === undefined) return {};
    throw new Refusal(`KEYSTEAD_CONFIG names ${named}, which does not exist.`, 2);
  }
  const content = parseYaml(readFileSync(file, "utf8"), file) ?? {};
  if (typeof content !== "object" || Array.isArray(content))
    throw new Refusal(`${file} must hold a mapping.`, 2);
  return content as Values;
}

function findModule(): string {
  const found = MODULE_PATHS.find((candidate) => existsSync(candidate));
  if (found === undefined)
    throw new Refusal(
      "SoftHSM2 is not installed: run `apt-get install softhsm2` (or `dnf install softhsm`, `brew install softhsm`), or name a PKCS#11 module with --module.",
      3,
    );
  return found;
}

const LOOPBACK = /^(?:127\.\d+\.\d+\.\d+|::1|localhost)$/;

export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

/** @throws Refusal exit 2 for a value that is not legal, 3 when there is no PKCS#11 module */
export function loadConfig(flags: Values, environment: NodeJS.ProcessEnv = process.env): Config {
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const parsed = schema.safeParse({ ...fromFile(environment), ...fromEnvironment(environment), ...given });
  if (!parsed.success) throw new Refusal(`Configuration: ${firstIssue(parsed.error)}`, 2);
  const config = parsed.data;
  if (config.mode === "serve" && config.dataDir === undefined && !config.temporary)
    throw new Refusal("serve needs --data-dir (or KEYSTEAD_DATA_DIR); `keystead dev` keeps nothing.", 2);
  if (config.auth === "any" && !isLoopback(config.host) && !config.allowAnonymousRemote)
    throw new Refusal(
      "--auth any on an address that other machines can reach lets anyone use the keys; add --allow-anonymous-remote if that is wanted.",
      2,
    );
  const module = config.module ?? findModule();
  if (!existsSync(module))
    throw new Refusal(`The PKCS#11 module ${module} does not exist; check --module.`, 3);
  return {
    ...config,
    module,
    credentials: resolveCredentials(config.credentials, config.account),
    dataDir: config.dataDir === undefined ? undefined : resolve(config.dataDir),
    managementToken: config.managementToken,
  };
}

function firstIssue(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return "not valid";
  return issue.path.length === 0 ? issue.message : `${issue.path.join(".")}: ${issue.message}`;
}
