import type { Library } from "../cel/library.ts";

/**
 * `authorizer` of a ValidatingAdmissionPolicy asks the API server about rights, which an expression here cannot wait for:
 * no network call is made while a request is answered.
 */
export const authorizer: Library = {
  functions: [],
  absent: {
    authorizer:
      "authorizer is not available: rules are evaluated without a network call; " +
      "grant or withhold rights by RBAC, or ask authorizer in a ValidatingAdmissionPolicy",
  },
};
