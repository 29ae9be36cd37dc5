/**
 * Every finding that Fairlead can report. The code is stable: people search for it, mute it, link to it.
 * docs/errors.md is generated from this table. `severity` is what the finding does in `enforce` mode.
 *
 * Ranges: FL1xx the policy's shape, FL2xx its meaning, FL3xx what the mesh or the cluster makes of it,
 * FL4xx Linkerd values written by hand, FL5xx injection and its record, FL6xx scope, FL7xx rules and exceptions.
 */
export const FINDINGS = {
  FL101: entry(
    "deny",
    "The policy does not fit its schema",
    "A field is missing, unknown, out of bounds or of the wrong type.",
  ),
  FL201: entry(
    "deny",
    "minPenalty above maxPenalty",
    "Linkerd drops the whole breaker when the pair is reversed. An absent minPenalty counts as 1s, an absent maxPenalty as 60s.",
  ),
  FL202: entry(
    "deny",
    "Per-try timeout above the request timeout",
    "The request ends before the first try may time out, so no try is ever repeated because of its timeout. Where the two are of two policies for one target, it is a warning to both.",
  ),
  FL203: entry(
    "warn",
    "Not all tries fit into the request timeout",
    "The request timeout includes every retry. The last tries are cut off.",
  ),
  FL204: entry(
    "deny",
    "Status codes that must not be retried",
    "1xx is never a final response and so never retried; 2xx and 3xx are not failures, and Linkerd would repeat requests that succeeded.",
  ),
  FL205: entry(
    "warn",
    "Retries open the breaker by themselves",
    "Each try counts as a failure of the breaker. One request with all its tries reaches consecutiveFailures, and the endpoint is shut for everybody.",
  ),
  FL206: entry("warn", "A timeout that never fires", "The request timeout ends the request first."),
  FL207: entry("warn", "Fields without effect", "The section is switched off, so its other fields do nothing."),
  FL208: entry(
    "warn",
    "Jitter without effect",
    "Linkerd caps penalty plus jitter at maxPenalty, so equal penalties leave no room for jitter.",
  ),
  FL209: entry(
    "deny",
    "Two routes fit the same requests",
    "Only one route can answer a request. Of two with the same match the older one does, which is chance; what fits every request belongs to the top of the policy.",
  ),
  FL210: entry(
    "deny",
    "The mesh cannot read this regular expression",
    "Linkerd would drop the whole route, and Istio refuse the whole VirtualService.",
  ),
  FL301: entry("warn", "Target does not exist yet", "The policy takes effect as soon as the target is created."),
  FL302: entry(
    "warn",
    "The selector matches no Service",
    "The policy takes effect as soon as a Service with these labels is created.",
  ),
  FL303: entry(
    "warn",
    "The mesh applies no policy to this Service",
    "Headless and ExternalName Services, and Services none of whose ports the mesh takes for HTTP, get no HTTP policy. Of all sections only mtls and authorization are written, where the Service leads to TCP ports of Pods.",
  ),
  FL304: entry(
    "warn",
    "Some ports get no policy",
    "The mesh treats them as TCP: retries, timeouts and breaker do not act there.",
  ),
  FL305: entry(
    "warn",
    "A ServiceProfile switches the policy off",
    "A ServiceProfile with routes or destination overrides replaces client policy: retries, timeouts and breaker from annotations are all off.",
  ),
  FL306: entry(
    "warn",
    "The route has no Service as parent",
    "Linkerd reads resilience annotations only from routes whose parentRefs name a Service with explicit kind and group.",
  ),
  FL307: entry(
    "warn",
    "Two policies want the same section",
    "The more specific policy wins (targetRefs before targetSelector), then the older, then by name; sections are decided one by one.",
  ),
  FL308: entry(
    "warn",
    "The namespace is not opted in",
    "Without the label fairlead.dev/mode Services and routes are not touched, so the policy has no effect.",
  ),
  FL309: entry(
    "warn",
    "The namespace is never touched",
    "System namespaces, the meshes' own and Fairlead's are excluded for good.",
  ),
  FL310: entry(
    "deny",
    "The mesh cannot do this, or not in this version",
    "The setting would be ignored without a trace.",
  ),
  FL311: entry("warn", "The mesh does this differently", "The setting works, but not as the words suggest."),
  FL312: entry(
    "deny",
    "The route kind cannot be retried this way",
    "Linkerd reads HTTP status codes from HTTPRoutes and gRPC codes from GRPCRoutes only.",
  ),
  FL313: entry(
    "warn",
    "A route setting switches off the Service's",
    "Linkerd does not merge: a route with any timeout ignores all timeouts of the Service, and likewise for retry.",
  ),
  FL315: entry(
    "deny",
    "The Service has routes that people wrote",
    "Generated routes and written ones would compete for the same requests. Conflicts are refused, not fought: while such a route is there, none is generated for the Service.",
  ),
  FL316: entry(
    "warn",
    "A policy generates the routes of this Service",
    "Beside a route that people write none is generated: Fairlead takes those of the policy back, and its entries have no effect.",
  ),
  FL317: entry(
    "warn",
    "Retries written by hand reach requests that must not be retried",
    "A route cannot switch off retries that its Service has, and Fairlead does not remove what people wrote.",
  ),
  FL318: entry(
    "deny",
    "The name of a generated object is taken",
    "Fairlead never overwrites what it did not make. Of HTTPRoutes it then generates none for the Service: without the one that takes the rest, other requests would get 404.",
  ),
  FL319: entry(
    "warn",
    "The cluster does not serve a kind that the policy needs",
    "On Linkerd entries of routes become HTTPRoutes of the Gateway API, and limits and access become objects of policy.linkerd.io; on Istio every section becomes an object of its own. The CRDs are not installed. The objects are written as soon as the API server serves them.",
  ),
  FL320: entry(
    "deny",
    "Another object configures the Service in the mesh",
    "Of two VirtualServices for one host, or two DestinationRules with a trafficPolicy, Istio takes the older one and tells nobody; so does Linkerd of two Servers for one port, and of two limits of a Server. Conflicts are refused, not fought: while such an object is there, Fairlead writes none of that kind for the Service, nor what refers to it. What keeps clients out and is there already stays.",
  ),
  FL321: entry(
    "deny",
    "Ambient mode without a waypoint",
    "The node proxy carries TCP only. Retries, timeouts, breakers and what speaks of paths or methods need a waypoint, which the Service or its namespace names, or sidecars.",
  ),
  FL322: entry(
    "warn",
    "Another object acts on some requests instead",
    "Istio takes a DestinationRule or VirtualService from the namespace of the client first, then from that of the Service, then from istio-system, and merges nothing of them. Of two Servers that select the same Pods and port, and of two limits of a Server, Linkerd takes the older one, and from labels and names of ports alone it cannot always be told whether they do.",
  ),
  FL323: entry(
    "warn",
    "A backend of the split is not there",
    "Requests that a mesh sends to a Service or port that does not exist are answered with an error: 500 on Linkerd, 503 on Istio.",
  ),
  FL324: entry(
    "warn",
    "The namespace shows no mesh",
    "With mesh: Auto the labels and annotations of the namespace tell the mesh. Where they show none, settings are those for Linkerd, and without a proxy beside the clients nobody acts on them.",
  ),
  FL325: entry(
    "deny",
    "Two policies do not go together",
    "The mesh does each of their sections by itself and not side by side for one Service. As within one policy that is refused; where both are there already, one section is left out and both policies are in conflict.",
  ),
  FL326: entry(
    "warn",
    "The version of the mesh is a guess",
    "A control plane was found, and its version cannot be read, or none has the revision that the namespace names. What is written may be for a version that reads it differently.",
  ),
  FL327: entry(
    "warn",
    "Another object lets clients in, too",
    "The meshes add up what AuthorizationPolicies allow: one that people wrote for the same Pods, or that another policy has for them, lets in more clients than the policy says.",
  ),
  FL328: entry(
    "warn",
    "A section waits for the number of a port",
    "Istio tells ports of Pods apart by number. Where targetPort is a name, an EndpointSlice tells the number as soon as a Pod has an address. Until then the section could only be written for all ports of the Pods, and would shut those that it is not for: it waits, or where it was written before it is for the numbers that are known and that were.",
  ),
  FL331: entry(
    "warn",
    "The breaker shuts no endpoint out",
    "Istio may shut out maxEjectionPercent of the endpoints that there are. Where that is less than one it shuts out none, however often it fails.",
  ),
  FL401: entry("deny", "Linkerd drops this value", "Linkerd logs one line and drops the whole group of settings."),
  FL402: entry(
    "deny",
    "A timeout of zero fails every request",
    "Linkerd reads zero as a deadline of now: every request that is not answered at once gets 504.",
  ),
  FL403: entry("deny", "Retries requests that succeeded", "The status list contains codes below 400."),
  FL411: entry("warn", "max-failures 0 never opens the breaker", "The failure counter can never match."),
  FL412: entry("warn", "min-penalty 0 does not shut an endpoint", "The breaker probes again at once."),
  FL413: entry(
    "warn",
    "limit 0 does not mean off",
    "Linkerd treats 0 as absent: one retry where a status list is present.",
  ),
  FL414: entry("warn", "Per-try timeout 0 means none", "Linkerd treats 0 as absent."),
  FL415: entry(
    "warn",
    "Retry without a status list",
    "Without retry.linkerd.io/http or retry.linkerd.io/grpc no status is retried.",
  ),
  FL416: entry(
    "warn",
    "Linkerd does not read this key here",
    "Breaker keys act on a Service only; HTTP codes on Services and HTTPRoutes, gRPC codes on Services and GRPCRoutes.",
  ),
  FL417: entry(
    "warn",
    "Breaker parameters without a breaker",
    "Without balancer.linkerd.io/failure-accrual the parameters are not read.",
  ),
  FL418: entry("warn", "Linkerd does not know this key", "Unknown annotations are ignored without a trace."),
  FL419: entry("warn", "Per-try timeout not below the request timeout", "The request ends before a try may time out."),
  FL420: entry(
    "warn",
    "Retries open the breaker by themselves",
    "Limit plus one tries reach max-failures, so one request shuts an endpoint for everybody.",
  ),
  FL421: entry(
    "warn",
    "Linkerd ignores this route field",
    "Linkerd takes retries and per-try timeouts from annotations, and the timeouts.request field by version and grammar only.",
  ),
  FL501: entry("deny", "The record is not readable", "fairlead.dev/injected is written by Fairlead only."),
  FL502: entry(
    "warn",
    "A value that people wrote is kept",
    "conflictResolution PreferExisting respects what is already there.",
  ),
  FL503: entry(
    "warn",
    "A group of settings is kept as it is",
    "Together with the policy's values the group would not pass Linkerd's parser or the checks across fields.",
  ),
  FL504: entry("warn", "Override replaced a value", "Each re-apply of the manifest is a write again."),
  FL505: entry(
    "warn",
    "Settings are not in step with the policies",
    "Another replica, or a moment without Fairlead, wrote this object; the controller brings it in line.",
  ),
  FL506: entry("warn", "Annotations too large to inject", "Kubernetes limits the annotations of an object to 256 KiB."),
  FL601: entry(
    "warn",
    "Owned by another controller",
    "TargetOwned: its controller would undo the change. Nothing is injected.",
  ),
  FL602: entry(
    "warn",
    "Unknown mode",
    "fairlead.dev/mode knows enforce, warn and audit. Until it is corrected the strictest, enforce, applies.",
  ),
  FL603: entry(
    "warn",
    "Unknown value of the label fairlead.dev/inject",
    "The label knows disabled and enabled. Another value counts as no label.",
  ),
  FL604: entry(
    "warn",
    "Left alone, and open",
    "What Fairlead leaves alone has no objects beside it either, so mtls and authorization of policies do not hold there.",
  ),
  FL701: entry(
    "deny",
    "The rule or exception does not fit its schema",
    "A field is missing, unknown, out of bounds or of the wrong type.",
  ),
  FL702: entry(
    "deny",
    "An expression does not compile",
    "It would fail at every write. The message says where: a syntax error, an unknown field, variable or function, arguments of the wrong type, or a literal that its function does not take.",
  ),
  FL703: entry(
    "deny",
    "An expression has the wrong type",
    "Conditions and validations must be true or false, messages are strings. A value of unknown type must be compared or converted.",
  ),
  FL704: entry(
    "deny",
    "The rule may take too long",
    "Rules are evaluated while the API server waits. The estimate counts 100 items for a list and 1,000 characters for a text of which no bound is known.",
  ),
  FL705: entry(
    "deny",
    "No rule may match this",
    "Rules hold for objects in namespaces. What a cluster needs to heal itself is never judged, so that no rule can stand in its way.",
  ),
  FL706: entry(
    "warn",
    "Expressions are not checked against this kind",
    "The fields of the kind are not known, so a misspelt one shows only when an object is written: then the failure policy decides.",
  ),
  FL707: entry(
    "warn",
    "A part of a ValidatingAdmissionPolicy that has no effect here",
    "Fairlead judges creations and updates of objects in namespaces, without asking the cluster.",
  ),
  FL708: entry(
    "warn",
    "The ConfigMap of the params does not exist",
    "While params cannot be read, every expression that reads them is an error, and the failure policy of the rule decides.",
  ),
  FL709: entry(
    "deny",
    "An expression asks what is not here",
    "Rules are evaluated without a network call, so authorizer, which asks the API server about rights, is for a ValidatingAdmissionPolicy.",
  ),
  FL710: entry(
    "deny",
    "The rule allows no exceptions",
    "Only a rule that says exceptionsAllowed: true can be excepted from.",
  ),
  FL711: entry(
    "warn",
    "The rule does not exist",
    "The exception has an effect as soon as there is a rule of that name.",
  ),
  FL712: entry(
    "deny",
    "The exception must end within 90 days",
    "An exception is a debt with a date. One that has ended does nothing.",
  ),
  FL713: entry("warn", "The exception ends soon", "From then on the rules hold again for these objects."),
  FL720: entry(
    "deny",
    "A rule refuses this write",
    "An AdmissionRule with the action Deny is violated. The message is its author's; what the expression has read follows.",
  ),
  FL721: entry("warn", "A rule warns about this write", "An AdmissionRule with the action Warn is violated."),
  FL722: entry(
    "warn",
    "A rule records this write",
    "An AdmissionRule with the action Audit alone is violated: it is counted and put into the audit log, and nobody is warned.",
  ),
  FL723: entry(
    "deny",
    "A rule cannot be evaluated",
    "An expression ended with an error, or went over the budget, and the failurePolicy of the rule is Fail. An error is never taken for no match.",
  ),
  FL724: entry(
    "warn",
    "A rule cannot be evaluated and is passed over",
    "An expression ended with an error, or went over the budget, and the failurePolicy of the rule is Ignore, or it does not deny.",
  ),
  FL725: entry(
    "warn",
    "The object violated the rule before",
    "The write neither introduces nor touches the violation, and existingViolations of the rule is Allow.",
  ),
  FL726: entry(
    "warn",
    "The exception ends soon",
    "Only a RuleException lets this write pass. When it ends, the next write is refused.",
  ),
  FL727: entry(
    "deny",
    "The write makes another object violate a rule",
    "A policy is judged by its effect on its targets, a Service by its effect on its routes: what would be in force there violates a rule, and does not now. With existingViolations: Deny also what does so now.",
  ),
  FL728: entry(
    "warn",
    "Rules were asked about a part of the effect",
    "A write with many targets is judged by its effect on the first 100, as far as the budget of the request goes. The audit judges all of them.",
  ),
} as const satisfies Record<string, FindingEntry>;

export interface FindingEntry {
  readonly severity: "deny" | "warn";
  readonly title: string;
  readonly explanation: string;
}

export type FindingCode = keyof typeof FINDINGS;

function entry(severity: "deny" | "warn", title: string, explanation: string): FindingEntry {
  return { severity, title, explanation };
}
