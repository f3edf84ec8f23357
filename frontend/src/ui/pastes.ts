import { dialogIsOpen, isField } from "./keys";

/** Takes files that are pasted anywhere on `page`. What is text where text is written is not one. */
export function takePastes(page: EventTarget, take: (files: File[]) => void): () => void {
  const paste = (event: Event) => {
    const files = pastedFiles(event as ClipboardEvent);
    if (files.length > 0) take(files);
  };
  page.addEventListener("paste", paste);
  return () => page.removeEventListener("paste", paste);
}

function pastedFiles({ target, clipboardData }: ClipboardEvent): File[] {
  if (clipboardData === null || dialogIsOpen()) return [];
  // A word processor and a spreadsheet add a picture to the text that is copied.
  if (isField(target) && clipboardData.types.includes("text/plain")) return [];
  return [...clipboardData.files];
}
