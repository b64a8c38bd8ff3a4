/** An operation called in process, as the account's root: for the management API and the seed, which are no clients on the wire. */
import { randomUUID } from "node:crypto";
import { AwsError } from "./errors.ts";
import type { Request, Service } from "./operation.ts";
import { validate } from "./shape.ts";

/**
 * The operation's answer, after the same validation that a request has.
 * @throws AwsError what the operation throws, or UnknownOperationException
 */
export async function callAsRoot<C>(
  service: Service<C>,
  name: string,
  input: object,
  context: C,
  where: { readonly account: string; readonly region: string },
): Promise<object | undefined> {
  const operation = service[name];
  if (operation === undefined)
    throw new AwsError("UnknownOperationException", `There is no operation ${name}.`);
  const { account, region } = where;
  const caller = { account, arn: `arn:aws:iam::${account}:root`, accessKeyId: "keystead", region };
  const request: Request = { requestId: randomUUID(), caller, operation: name };
  return operation.run(validate(operation.input, input), { ...context, ...request });
}
