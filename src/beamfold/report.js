// The panels of a report, see charts.js.
const data = JSON.parse(document.getElementById("data").textContent);
for (const figure of document.querySelectorAll("figure[data-panel]"))
  new Panel(figure, data[Number(figure.dataset.panel)]);
document.documentElement.dataset.drawn = String(document.querySelectorAll("path.curve").length);
