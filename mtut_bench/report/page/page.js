(() => {
  "use strict";
  const root = document.documentElement;
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  // A file opened without a server, or a private window, may have no storage.
  const remembered = () => {
    try { return localStorage.getItem("mtut-bench-theme"); } catch { return null; }
  };
  const remember = (theme) => {
    try { localStorage.setItem("mtut-bench-theme", theme); } catch { /* this visit only */ }
  };

  const themes = ["auto", "light", "dark"];
  const themeButton = document.getElementById("theme");
  const setTheme = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    themeButton.textContent = `Theme: ${theme}`;
  };
  let theme = themes.includes(remembered()) ? remembered() : "auto";
  setTheme(theme);
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    setTheme(theme);
    remember(theme);
  });

  // A line of a table is a row, or, where lines have details, a tbody.
  const linesOf = (table) =>
    table.tBodies.length === 1 ? [...table.tBodies[0].rows] : [...table.tBodies];
  const keyOf = (line, column) => {
    const row = line.tagName === "TBODY" ? line.rows[0] : line;
    return row.cells[column].dataset.key;
  };

  const compare = (a, b, numeric, sign) => {
    // Missing values come last in either direction.
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return sign * (numeric ? Number(a) - Number(b) : collator.compare(a, b));
  };

  const sortTable = (table, original, column, direction) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      if (index === column && direction) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    });
    table.classList.toggle("sorted", Boolean(direction));
    const numeric = "numeric" in heads[column].dataset;
    const sign = direction === "descending" ? -1 : 1;
    const lines = direction
      ? [...original].sort((a, b) => compare(keyOf(a, column), keyOf(b, column), numeric, sign))
      : original;
    // Moving lines takes the focus off what is in them; the heads, which are pressed, stay.
    if (lines.length) lines[0].parentElement.append(...lines);
  };

  const makeSortable = (table) => {
    const original = linesOf(table);
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      // Numbers sort largest first, names in alphabetical order.
      const order = "numeric" in head.dataset
        ? ["descending", "ascending", null] : ["ascending", "descending", null];
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.title = "Sort; a third press restores the order";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const now = order.indexOf(head.getAttribute("aria-sort"));
        sortTable(table, original, column, order[(now + 1) % order.length]);
      });
    });
  };

  const makeOpenable = (body) => {
    const [row, more] = body.rows;
    const cell = row.cells[0];
    const button = document.createElement("button");
    button.type = "button";
    button.className = "open";
    button.append(...cell.childNodes);
    button.setAttribute("aria-controls", more.id);
    cell.append(button);
    const set = (open) => {
      more.hidden = !open;
      button.setAttribute("aria-expanded", String(open));
    };
    set(false);
    button.addEventListener("click", () => set(more.hidden));
  };

  const makeFilter = (table) => {
    const field = document.getElementById("filter");
    const count = document.getElementById("filter-count");
    const bodies = linesOf(table).map((body) => [body, body.textContent.toLowerCase()]);
    const apply = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const [body, text] of bodies) {
        body.hidden = !words.every((word) => text.includes(word));
        shown += body.hidden ? 0 : 1;
      }
      count.textContent = `${shown} of ${bodies.length}`;
      document.getElementById("filter-none").hidden = shown > 0;
    };
    field.closest(".filter").hidden = false;
    field.addEventListener("input", apply);
    apply();
  };

  // The details are read before they are folded: the filter finds what is in them too.
  const runs = document.getElementById("runs-table");
  if (runs) {
    makeFilter(runs);
    [...runs.tBodies].forEach(makeOpenable);
  }
  document.querySelectorAll("table.sortable").forEach(makeSortable);

  // Only boxes that scroll are keyboard stops, and they show where they are clipped.
  const measure = (box) => {
    const hidden = box.scrollWidth - box.clientWidth;
    if (hidden > 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
    box.classList.toggle("clipped", hidden - box.scrollLeft > 1);
  };
  const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => measure(target)));
  document.querySelectorAll(".scroll").forEach((box) => {
    sizes.observe(box);
    box.addEventListener("scroll", () => measure(box), { passive: true });
  });
})();
