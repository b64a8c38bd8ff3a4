/** Why an operator's command is refused: the `data` sentence of `{"error_code": 1, …}`. Never carries a password. */
export class OperatorRefusal extends Error {
  constructor(sentence: string, options?: ErrorOptions) {
    super(sentence, options);
    this.name = "OperatorRefusal";
  }
}
