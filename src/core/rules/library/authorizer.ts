import type { Type } from "../cel/types.ts";
import { opaque } from "./define.ts";

/**
 * The type of `authorizer`. Its functions ask the API server about rights, which an expression here cannot wait for, so
 * none is declared: a rule that calls one is refused when it is written.
 */
export const AUTHORIZER: Type = opaque("kubernetes.authorization.Authorizer");
