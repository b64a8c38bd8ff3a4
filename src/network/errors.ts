/** Why the simulated VPC cannot give a network interface; its callers map the code to their service's exception. */
export type NetworkErrorCode =
  "SUBNET_NOT_FOUND" | "NO_FREE_ADDRESS" | "ADDRESS_IN_USE" | "ADDRESS_NOT_IN_SUBNET";

export class NetworkError extends Error {
  readonly code: NetworkErrorCode;

  constructor(code: NetworkErrorCode, sentence: string) {
    super(sentence);
    this.name = "NetworkError";
    this.code = code;
  }
}
