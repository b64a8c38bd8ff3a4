/** Answers the guards' questions from the configured identity policies, the key's policy and its grants. */
import type { Ask, Authorizer } from "../core/access.ts";
import { AwsError, Refusal } from "../core/errors.ts";
import { refusalOf } from "./evaluate.ts";
import { keyPolicy, type Policy } from "./policy.ts";
import { principalKeys } from "./principals.ts";

/** Key policies are mostly alike; more different ones than this are read anew. */
const REMEMBERED = 1_000;

export class PolicyAuthorizer implements Authorizer {
  readonly #identities: ReadonlyMap<string, readonly Policy[]>;
  readonly #keyPolicies = new Map<string, Policy>();

  /** @param identities identity policies by access key id */
  constructor(identities: ReadonlyMap<string, readonly Policy[]>) {
    this.#identities = identities;
  }

  check(ask: Ask): void {
    const refused = refusalOf({
      ...ask,
      context: new Map([...principalKeys(ask.caller), ...ask.context]),
      identity: this.#identities.get(ask.caller.accessKeyId) ?? [],
      ...(ask.keyPolicy === undefined ? {} : { resourcePolicy: this.#read(ask.keyPolicy) }),
    });
    if (refused === undefined) return;
    throw new AwsError(
      "AccessDeniedException",
      `User: ${ask.caller.arn} is not authorized to perform: ${ask.action} on resource: ${ask.resource} ${refused}`,
    );
  }

  #read(text: string): Policy {
    const known = this.#keyPolicies.get(text);
    if (known !== undefined) return known;
    if (this.#keyPolicies.size >= REMEMBERED) this.#keyPolicies.clear();
    const policy = readable(text);
    this.#keyPolicies.set(text, policy);
    return policy;
  }
}

/** CreateKey and PutKeyPolicy refuse what cannot be read; should it be there all the same, it allows nobody. */
function readable(text: string): Policy {
  try {
    return keyPolicy(text);
  } catch (error) {
    if (error instanceof Refusal) return [];
    throw error;
  }
}
