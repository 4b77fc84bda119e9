/**
 * The snippets of a page of docs/frameworks as programs: the compiler checks them against the packages of the framework. A file
 * `page-NAME.ts` in the folder of a framework declares what the snippets of docs/frameworks/NAME.md use of an application.
 */

const imports = /^import (?<kind>type )?(?:(?<whole>\w+)|\{(?<names>[^}]*)\}) from "(?<from>[^"]+)";\n/gm;
const augmentation = /^declare module [^]*?^\}\n/m;

/** The snippets of a page, each as a program of its own. @param declarations what they use without declaring it */
export function programsOf(page: string, declarations: string): readonly string[] {
  const snippets = [...page.matchAll(/^```ts[^\n]*\n(.*?)^```/gms)].map(([, code = ""]) => code);
  /** The last import of each name: a snippet may use what one before it has imported. */
  const imported = new Map<string, string>();
  return snippets.map((code) => {
    for (const { groups: { kind = "", whole, names = "", from = "" } = {} } of code.matchAll(imports)) {
      if (whole !== undefined) imported.set(whole, `import ${whole} from "${from}";`);
      for (const name of names.split(",").map((part) => part.trim()))
        if (name !== "") imported.set(name.replace(/^type /, ""), `import ${kind}{ ${name} } from "${from}";`);
    }
    const [augments = ""] = augmentation.exec(code) ?? [];
    const body = code
      .replaceAll(imports, "")
      .replace(augmentation, "")
      .replaceAll(/^export /gm, "");
    const isUsed = (name: string): boolean => new RegExp(`\\b${name}\\b`).test(augments + body);
    const isDeclared = (name: string): boolean =>
      new RegExp(`^(?:export declare )?const ${name}\\b`, "m").test(declarations);
    const used = [...imported].flatMap(([name, line]) => (isUsed(name) && !isDeclared(name) ? [line] : []));
    return `${used.join("\n")}\n${declarations}\n${augments}\n{\n${body}}\nexport {};\n`;
  });
}
