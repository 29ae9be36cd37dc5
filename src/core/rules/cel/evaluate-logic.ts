import { absorbed, NO_SUCH_OVERLOAD, type Run } from "./evaluate-frame.ts";
import { CelError } from "./values.ts";

/**
 * `&&` (where `decisive` is false) and `||` (true): one operand that decides makes up for an error or a value of another
 * type in the other.
 */
export function compileLogic(decisive: boolean, left: Run, right: Run): Run {
  return (frame) => {
    let problem: CelError | undefined;
    try {
      const value = left(frame);
      if (value === decisive) {
        return decisive;
      }
      if (value !== !decisive) {
        problem = new CelError(NO_SUCH_OVERLOAD);
      }
    } catch (error) {
      problem = absorbed(error);
    }
    if (problem === undefined) {
      const value = right(frame);
      if (typeof value !== "boolean") {
        throw new CelError(NO_SUCH_OVERLOAD);
      }
      return value;
    }
    try {
      if (right(frame) === decisive) {
        return decisive;
      }
    } catch (error) {
      absorbed(error);
    }
    throw problem;
  };
}

export function compileConditional(condition: Run, yes: Run, no: Run): Run {
  return (frame) => {
    const value = condition(frame);
    if (value === true) {
      return yes(frame);
    }
    if (value === false) {
      return no(frame);
    }
    throw new CelError(NO_SUCH_OVERLOAD);
  };
}
