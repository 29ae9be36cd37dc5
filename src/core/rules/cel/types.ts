/** The types of CEL, with the names that cel-go prints. */
export type Type =
  | { readonly kind: PrimitiveKind }
  | { readonly kind: "list"; readonly element: Type }
  | { readonly kind: "map"; readonly key: Type; readonly value: Type }
  | { readonly kind: "optional"; readonly of: Type }
  | { readonly kind: "type"; readonly of: Type }
  /** A type of a library, such as `kubernetes.Quantity`; only its own functions take it. */
  | { readonly kind: "opaque"; readonly name: string }
  | ObjectType
  /** Stands for one and the same type throughout an overload: the A in `list(A)`. */
  | { readonly kind: "parameter"; readonly name: string };

export type PrimitiveKind =
  | "dyn"
  | "null"
  | "bool"
  | "int"
  | "uint"
  | "double"
  | "string"
  | "bytes"
  | "timestamp"
  | "duration";

/** An object with known fields, made from a schema. Selecting any other field is an error when the rule is written. */
export interface ObjectType {
  readonly kind: "object";
  /** As messages name it: `Service`, `Service.spec`. */
  readonly name: string;
  field(name: string): Type | undefined;
  /** For the nearest known name in messages. */
  fieldNames(): readonly string[];
}
