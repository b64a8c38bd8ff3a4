/**
 * AWS STS GetCallerIdentity, the one call by which tools ask "who am I" before they start
 * (Terraform and the CLI do). STS speaks the AWS Query protocol: a form in, XML out.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
 */
import type { AwsError } from "../core/errors.ts";
import type { Caller } from "../core/operation.ts";
import type { Answer } from "./answer.ts";

export const STS_SIGNING_NAME = "sts";
/** The global STS endpoint is signed for us-east-1 whatever the client's region is. */
export const STS_GLOBAL_REGION = "us-east-1";

const NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/";

/** STS names the framework's errors in the Query protocol's way, most with 403. */
const QUERY_CODES: ReadonlyMap<string, readonly [code: string, status: number]> = new Map([
  ["InvalidSignatureException", ["SignatureDoesNotMatch", 403]],
  ["UnrecognizedClientException", ["InvalidClientTokenId", 403]],
  ["MissingAuthenticationTokenException", ["MissingAuthenticationToken", 403]],
  ["IncompleteSignatureException", ["IncompleteSignature", 400]],
  ["AccessDeniedException", ["AccessDenied", 403]],
]);

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (mark) => ESCAPES[mark] ?? mark);
}

function xml(status: number, body: string): Answer {
  return { status, contentType: "text/xml", body };
}

function error(code: string, message: string, status: number, requestId: string): Answer {
  return xml(
    status,
    `<ErrorResponse xmlns="${NAMESPACE}"><Error><Type>Sender</Type><Code>${code}</Code>` +
      `<Message>${escapeXml(message)}</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>\n`,
  );
}

/** The Action of a form body, "" when there is none. */
export function actionOf(body: Uint8Array): string {
  return new URLSearchParams(Buffer.from(body).toString("utf8")).get("Action") ?? "";
}

/** The root's user id is its account; other principals are identified by their access key here. */
function identity(caller: Caller, requestId: string): string {
  const userId = caller.arn.endsWith(":root") ? caller.account : caller.accessKeyId;
  return (
    `<GetCallerIdentityResponse xmlns="${NAMESPACE}"><GetCallerIdentityResult>` +
    `<Arn>${escapeXml(caller.arn)}</Arn><UserId>${escapeXml(userId)}</UserId>` +
    `<Account>${escapeXml(caller.account)}</Account></GetCallerIdentityResult>` +
    `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></GetCallerIdentityResponse>\n`
  );
}

/** The answer to an authenticated STS request; every action but GetCallerIdentity is 501. */
export function answerSts(action: string, caller: Caller, requestId: string): Answer {
  if (action === "GetCallerIdentity") return xml(200, identity(caller, requestId));
  const sentence = "keystead implements no action of AWS STS but GetCallerIdentity.";
  return error("NotImplemented", sentence, 501, requestId);
}

/** A refused STS request in the words of the Query protocol. */
export function stsFailure(refused: AwsError, requestId: string): Answer {
  const [code, status] = QUERY_CODES.get(refused.code) ?? [refused.code, refused.status];
  return error(code, refused.message, status, requestId);
}
