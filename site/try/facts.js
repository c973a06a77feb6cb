// What build.py has put into the page: the programs, the animals of `toys`, how many digits there are.

export default JSON.parse(document.getElementById("facts").textContent);
