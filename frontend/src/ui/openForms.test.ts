import { describe, expect, it, vi } from "vitest";
import { OpenForms } from "./openForms";

describe("an open form", () => {
  it("keeps what was typed until it is closed, each form its own", () => {
    const forms = new OpenForms();
    const told = vi.fn();
    forms.subscribe(told);
    forms.open("product b1", { name: "" });
    forms.change("product b1", { name: "Harbour m" });
    expect(forms.find("product b1")?.now).toEqual({ name: "Harbour m" });
    expect(forms.find("product b2")).toBeUndefined();
    forms.close("product b1");
    expect(forms.find("product b1")).toBeUndefined();
    expect(told).toHaveBeenCalledTimes(3);
  });

  it("is worth a question only where something was typed", () => {
    const forms = new OpenForms();
    forms.open("brand", { name: "" });
    expect(forms.changed()).toBe(false);
    forms.change("brand", { name: "N" });
    expect(forms.changed()).toBe(true);
    forms.close("brand");
    forms.change("brand", { name: "No" });
    expect(forms.changed()).toBe(false);
  });

  it("is sent once, and stays busy until the answer, whoever looks at it then", async () => {
    const forms = new OpenForms();
    const send = vi.fn(() => Promise.resolve());
    forms.open("brand", { name: "" });
    forms.change("brand", { name: "Northlight" });
    const saved = forms.save("brand", send);
    expect(forms.find("brand")?.busy).toBe(true);
    await forms.save("brand", send);
    await saved;
    expect(send).toHaveBeenCalledOnce();
    expect(forms.find("brand")).toBeUndefined();
  });

  it("keeps what was typed and the error when it was refused, and is sent again", async () => {
    const forms = new OpenForms();
    const error = new Error("There is a brand of this name.");
    forms.open("brand", { name: "" });
    const refused = forms.save("brand", () => Promise.reject(error));
    forms.change("brand", { name: "Northlight" });
    await refused;
    expect(forms.find("brand")).toMatchObject({ now: { name: "Northlight" }, busy: false, error });
    await forms.save("brand", () => Promise.resolve());
    expect(forms.find("brand")).toBeUndefined();
  });

  it("is another one once it was given up and opened anew: an answer to the first does not close it", async () => {
    const forms = new OpenForms();
    forms.open("brand", { name: "" });
    const saved = forms.save("brand", () => Promise.resolve());
    forms.close("brand");
    forms.open("brand", { name: "" });
    await saved;
    expect(forms.find("brand")).toBeDefined();
  });
});
