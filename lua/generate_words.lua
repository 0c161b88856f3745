-- generate_words.lua - what made-up records are called, and what is known of their styles. Nobody of
-- these names is meant.

local words = {}

local function list(text)
  local out = {}
  for word in text:gmatch("[^,]+") do out[#out + 1] = word:match("^%s*(.-)%s*$") end
  return out
end

--- Lists of words by kind. All lists of a pair are used in all combinations.
words.LISTS = {
  adjective = list [[Silver, Velvet, Electric, Northern, Broken, Golden, Silent, Crimson, Hollow, Wild, Paper, Frozen,
    Blue, Neon, Distant, Burning, Gentle, Lonely, Magnetic, Midnight, Hidden, Restless, Scarlet, Wooden, Marble,
    Secret, Amber, Crystal, Faded, Iron, Early, Lunar, Western, Radio, Quiet, Sudden, Emerald, Savage, Tender, Glass,
    Rusty, Stolen, Violet, Sacred, Bitter, Copper, Empty, Endless, Foreign, Plastic, Royal]],
  noun = list [[Machine, River, Avenue, Harbour, Mirror, Garden, Signal, Winter, Horizon, Engine, Lantern, Valley,
    Shadow, Carnival, Thunder, Orchard, Satellite, Station, Meadow, Empire, Comet, Tiger, Parade, Sparrow, Temple,
    Circus, Canyon, Desert, Island, Mountain, Ocean, Prophet, Railway, Rocket, Sailor, Season, Street, Summer,
    Tower, Traveller, Voyage, Whisper, Window, Wolf, Youth, Zenith, Ballad, Cathedral, Diamond, Echo, Factory,
    Ghost, Highway]],
  first = list [[Miles, Nina, Otis, Clara, Hugo, Ella, Frank, Maria, Leon, Alice, Walter, Irene, Oscar, Ruth, Victor,
    Dora, Edgar, Helen, Marcus, Lydia, Conrad, Judith, Felix, Rosa, Arthur, Stella, Ivor, Vera, Simon, Greta, Martin]],
  last = list [[Harlow, Mercer, Delaney, Winters, Ferraro, Holloway, Lindqvist, Okafor, Castellan, Brandt, Marlowe,
    Quigley, Sorensen, Valdez, Whitlock, Abernathy, Beaumont, Corrigan, Dufresne, Eastwick, Fontaine, Greaves,
    Hathaway, Jansson, Kessler, Lockwood, Montrose, Norwood, Osborne, Pemberton, Rosewood, Sinclair, Tremaine]],
  ru_adjective = list [[Ночной, Северный, Зелёный, Тихий, Старый, Белый, Дальний, Летний, Звёздный, Стальной, Последний,
    Вечерний, Лунный, Весенний, Каменный, Солнечный, Осенний, Морской, Городской, Утренний, Хрустальный, Синий]],
  ru_noun = list [[Экспресс, Берег, Проспект, Ветер, Оркестр, Квартал, Поезд, Город, Маяк, Трамвай, Сад, Горизонт,
    Причал, Дождь, Вокзал, Полёт, Театр, Снег, Мост, Двор, Рассвет, Проигрыватель, Голос]],
}

--- Styles: share of the artists, how much of the season they follow (1 = as the shop), growth in a year
--- (0.1 = a tenth), years their records were recorded in.
words.STYLES = {
  { "Rock/Classic Rock", 16, 1.0, 0.05, 1964, 1985 }, { "Rock/Alternative", 10, 0.9, 0.15, 1985, 2022 },
  { "Rock/Hard Rock", 9, 1.0, -0.05, 1969, 1995 }, { "Rock/Progressive", 6, 0.9, 0.0, 1968, 1982 },
  { "Pop", 12, 1.3, 0.25, 1965, 2024 }, { "Jazz/Hard Bop", 8, 0.6, 0.05, 1948, 1969 },
  { "Jazz/Fusion", 4, 0.6, 0.0, 1968, 1990 }, { "Soul/Funk", 6, 0.8, 0.1, 1962, 1983 },
  { "Electronic/House", 6, 0.7, 0.2, 1988, 2024 }, { "Electronic/Ambient", 3, 0.6, 0.3, 1975, 2023 },
  { "Hip-Hop", 6, 0.9, 0.35, 1986, 2024 }, { "Reggae/Dub", 3, -0.4, 0.05, 1968, 1990 },
  { "Metal", 5, 0.8, 0.05, 1980, 2023 }, { "Classical", 3, 1.2, -0.1, 1950, 1995 },
  { "Soundtrack", 3, 1.5, 0.1, 1960, 2024 },
}

--- The same for artists of the Russian shelf.
words.RU_STYLES = {
  { "Русский рок", 12, 1.0, 0.3, 1983, 2023 }, { "Эстрада", 6, 1.2, -0.15, 1962, 1989 },
}

--- How busy each month is, January first; 1 = an even one.
words.SEASON = { 0.84, 0.9, 1.0, 1.1, 0.94, 0.8, 0.72, 0.79, 0.98, 1.06, 1.27, 1.95 }

--- How sales fall on the days of a week, Monday first; they sum to 1.
words.WEEK = { 0.1, 0.1, 0.11, 0.13, 0.17, 0.24, 0.15 }

return words
