import * as z from "zod";
import { hint } from "../hints.ts";
import { show } from "../problem.ts";
import { type Rule, withKeyword, withRules } from "../rule.ts";
import { listMap, uniqueBy } from "./lists.ts";
import { retry } from "./retry.ts";
import { timeout } from "./timeout.ts";

/** One less than the rules of an HTTPRoute, so that entries and the rest count like one (Gateway API, HTTPRouteSpec). */
const ROUTES_MAX = 15;
const MATCHES_MAX = 8;
const HEADERS_MAX = 8;
/** Lengths of the Gateway API's HTTPRouteMatch; its header values may have 4096 characters, which nobody needs. */
const PATH_LENGTH_MAX = 1024;
const HEADER_NAME_LENGTH_MAX = 256;
const HEADER_VALUE_LENGTH_MAX = 1024;

/** The methods that the Gateway API knows. */
export const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_LABEL_LENGTH_MAX = 63;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/;
/** What the Gateway API allows in a path that is compared as text; it refuses a route with anything else. */
const PLAIN_PATH = /^\/([-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*$/;
const PATH_DETOUR = /(\/\/|\/[.][.]?(\/|$)|%2[fF])/;

function isPlain(path: { readonly type?: string }): boolean {
  return path.type !== "RegularExpression";
}

/** `value` of a path. */
export const pathValue = z
  .string()
  .min(1)
  .max(PATH_LENGTH_MAX)
  .meta({
    description: `The path, 1 to ${PATH_LENGTH_MAX} characters, without host and query. Required. Example: "/users".`,
  });

const pathFields = z.strictObject({
  type: z.exactOptional(
    z.enum(["Exact", "PathPrefix", "RegularExpression"]).meta({
      description:
        "How value is compared. PathPrefix, the default when absent: whole elements of the path, so that /users takes " +
        "/users and /users/7, not /userspace. Exact: the whole path, case counts. RegularExpression: must match the whole " +
        "path, in RE2 syntax.",
    }),
  ),
  value: pathValue,
});

/** What holds for a path that is compared as text. */
export const plainPathRules: readonly Rule<{ readonly type?: string; readonly value: string }>[] = [
  {
    cel: `has(self.type) && self.type == 'RegularExpression' || self.value.matches(r"""${PLAIN_PATH.source.replaceAll("\\/", "/")}""")`,
    holds: (path) => !isPlain(path) || PLAIN_PATH.test(path.value),
    wanted: "a path that begins with / and has the characters of a URL's path only",
    found: (path) => show(path.value),
    fix: "write it as it stands in the URL, without host, query and spaces, or set type: RegularExpression",
    path: "value",
    reads: ["type", "value"],
  },
  {
    cel: `has(self.type) && self.type == 'RegularExpression' || !self.value.matches(r"""${PATH_DETOUR.source.replaceAll("\\/", "/")}""")`,
    holds: (path) => !isPlain(path) || !PATH_DETOUR.test(path.value),
    wanted: "a path without //, /./, /../ and %2F",
    found: (path) => show(path.value),
    fix: "write the path as the server sees it, with these resolved",
    path: "value",
    reads: ["type", "value"],
  },
];

const path = withRules(pathFields, plainPathRules).meta({ description: "The path of the request. Absent: any path." });

const header = z
  .strictObject({
    name: hint(
      z
        .string()
        .min(1)
        .max(HEADER_NAME_LENGTH_MAX)
        .regex(HEADER_NAME)
        .meta({ description: 'Name of the header; case does not count. Required. Example: "x-tenant".' }),
      {
        wanted: `the name of a header: letters, digits and !#$%&'*+-.^_\`|~, 1 to ${HEADER_NAME_LENGTH_MAX} characters`,
        fix: "Write the name without colon and spaces",
      },
    ),
    type: z.exactOptional(
      z.enum(["Exact", "RegularExpression"]).meta({
        description:
          "How value is compared. Exact, the default when absent: the whole value. RegularExpression: RE2 syntax.",
      }),
    ),
    value: z
      .string()
      .min(1)
      .max(HEADER_VALUE_LENGTH_MAX)
      .meta({ description: `The value, 1 to ${HEADER_VALUE_LENGTH_MAX} characters. Required. Example: "beta".` }),
  })
  .meta({ description: "One header that the request must have." });

const matchFields = z.strictObject({
  path: z.exactOptional(path),
  method: z.exactOptional(
    z.enum(METHODS).meta({ description: `The method of the request: ${METHODS.join(", ")}. Absent: any method.` }),
  ),
  headers: z.exactOptional(
    withKeyword(z.array(header).min(1).max(HEADERS_MAX), listMap("name"), [uniqueBy("name", "each header once")]).meta({
      description: `1 to ${HEADERS_MAX} headers, all of which the request must have. Absent: any headers.`,
    }),
  ),
});

const match = withRules(matchFields, [
  {
    cel: "has(self.path) || has(self.method) || has(self.headers)",
    holds: (match) => match.path !== undefined || match.method !== undefined || match.headers !== undefined,
    wanted: "at least one of path, method and headers",
    found: () => "none of them",
    fix: "add what tells these requests apart, for example method: GET",
  },
]).meta({
  description:
    "Requests with this path, this method and these headers: all that is given must hold. At least one of path, method " +
    "and headers is needed.",
});

/** Requests, told apart by what they ask for. */
export const matches = z.array(match).min(1).max(MATCHES_MAX).meta({ "x-kubernetes-list-type": "atomic" });

const entryFields = z.strictObject({
  name: hint(
    z
      .string()
      .min(1)
      .max(DNS_LABEL_LENGTH_MAX)
      .regex(DNS_LABEL)
      .meta({
        description:
          "Name of the entry, once in the policy: lower-case letters, digits and -, 1 to 63 characters. It becomes part " +
          'of the name of the generated HTTPRoute. Required. Example: "reads".',
      }),
    {
      wanted: "a DNS label: lower-case letters, digits and -, a letter or digit at both ends, 1 to 63 characters",
      fix: "Write a short name such as reads",
    },
  ),
  matches: matches.meta({
    description:
      `1 to ${MATCHES_MAX} matches like those of the Gateway API's HTTPRoute; a request belongs to the entry when one ` +
      "of them fits. Where entries overlap, the more specific match goes first: an exact path, then the longer " +
      'prefix, then a method, then more headers. Required. Example: [{"method": "GET"}].',
  }),
  retry: z.exactOptional(
    retry.meta({
      description:
        "Retries of these requests, in place of spec.retry; only the timeout of a try is taken from there when it is " +
        "absent here. maxAttempts: 0 leaves them without retries. grpcCodes do not act here: Linkerd reads status codes " +
        "only from an HTTPRoute. Absent: as spec.retry says.",
    }),
  ),
  timeout: z.exactOptional(
    timeout.meta({
      description:
        "Timeouts of these requests. A limit that is absent here is taken from spec.timeout. At least one of request, " +
        "response and idle is needed. Absent: as spec.timeout says.",
    }),
  ),
});

const entry = withRules(entryFields, [
  {
    cel: "has(self.retry) || has(self.timeout)",
    holds: (entry) => entry.retry !== undefined || entry.timeout !== undefined,
    wanted: "at least one of retry and timeout",
    found: () => "none of them",
    fix: "add what is different for these requests, for example timeout: {request: 5s}",
  },
]).meta({ description: "Some requests to the targets, with retries and timeouts of their own." });

/** `spec.routes`. */
export const routes = withKeyword(z.array(entry).min(1).max(ROUTES_MAX), listMap("name"), [
  uniqueBy("name", "each name once"),
]).meta({
  description:
    `1 to ${ROUTES_MAX} kinds of requests, told apart by path, method and headers, that get retries and timeouts of their ` +
    "own. Targets must be Services. On Linkerd each entry becomes one HTTPRoute of the Gateway API for each target, and " +
    "one more takes all other requests; they carry the label fairlead.dev/policy-uid and go with the policy. " +
    "Refused for a Service that has routes of people. Absent: nothing is changed. " +
    'Example: [{"name": "reads", "matches": [{"method": "GET"}], "retry": {"maxAttempts": 2, "statusCodes": ["5xx"]}}].',
});
