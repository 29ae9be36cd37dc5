/** Why a text is no expression, and where: offsets in UTF-16 code units. */
export class ParseProblem extends Error {
  readonly start: number;
  readonly end: number;

  constructor(message: string, start: number, end: number) {
    super(message);
    this.start = start;
    this.end = end;
  }
}
