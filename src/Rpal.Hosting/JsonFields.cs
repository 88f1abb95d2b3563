using System.Text.Json;

namespace Rpal.Hosting;

/// <summary>The fields of one JSON object, taken by name and kind. What is wrong is said in the words of the file.</summary>
internal sealed class JsonFields
{
    private readonly JsonElement _object;
    private readonly string _where;

    /// <param name="element">Must be an object with no other fields than <paramref name="known"/>.</param>
    /// <param name="where">File and member, for messages.</param>
    /// <param name="known">Names of all fields.</param>
    public JsonFields(JsonElement element, string where, string[] known)
    {
        (_object, _where) = (element, where);
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw Wrong($"is {Kind(element)}; it takes {{ \"{known[0]}\": ... }}");
        }

        HashSet<string> seen = [];
        foreach (JsonProperty p in element.EnumerateObject())
        {
            if (!known.Contains(p.Name))
            {
                throw Wrong($"has no field \"{p.Name}\". Fields: {string.Join(", ", known)}");
            }

            if (!seen.Add(p.Name))
            {
                throw Wrong($"has the field \"{p.Name}\" twice");
            }
        }
    }

    public FormatException Wrong(string what) => new($"{_where} {what}.");

    /// <summary>The field, or null when it is not there.</summary>
    public JsonElement? Find(string name) => _object.TryGetProperty(name, out JsonElement e) ? e : null;

    public string? Text(string name) => Find(name) is not { } e ? null
        : e.ValueKind == JsonValueKind.String ? e.GetString()
        : throw Takes(name, "a text in quotes", e);

    public IEnumerable<JsonElement>? List(string name) => Find(name) is not { } e ? null
        : e.ValueKind == JsonValueKind.Array ? e.EnumerateArray()
        : throw Takes(name, "a list: [ ... ]", e);

    public IReadOnlyList<string> Texts(string name) =>
        [.. (List(name) ?? []).Select(e => e.ValueKind == JsonValueKind.String ? e.GetString()! : throw Takes(name, "a list of texts in quotes", e))];

    /// <summary>Texts by name; null stays null.</summary>
    public IReadOnlyDictionary<string, string?> Map(string name)
    {
        const string takes = "names with texts: { \"NAME\": \"value\" }, or null to remove one";
        Dictionary<string, string?> map = [];
        if (Find(name) is { } e)
        {
            foreach (JsonProperty p in e.ValueKind == JsonValueKind.Object ? e.EnumerateObject() : throw Takes(name, takes, e))
            {
                string? value = p.Value.ValueKind is JsonValueKind.String or JsonValueKind.Null ? p.Value.GetString() : throw Takes(name, takes, p.Value);
                if (!map.TryAdd(p.Name, value))
                {
                    throw new FormatException($"{_where}: \"{name}\" has \"{p.Name}\" twice.");
                }
            }
        }

        return map;
    }

    public double? Number(string name, double least, double most, bool whole = false)
    {
        string takes = $"a {(whole ? "whole " : "")}number from {least} to {most}";
        return Find(name) is not { } e ? null
            : e.ValueKind == JsonValueKind.Number && e.TryGetDouble(out double d) && d >= least && d <= most && (!whole || d == Math.Floor(d)) ? d
            : throw Takes(name, takes, e);
    }

    /// <summary>True or false; false when the field is not there.</summary>
    public bool Flag(string name) => Find(name) is { } e
        && (e.ValueKind is JsonValueKind.True or JsonValueKind.False ? e.GetBoolean() : throw Takes(name, "true or false", e));

    /// <summary>One of some words; the first when the field is not there.</summary>
    public T Choice<T>(string name, (string Word, T Value)[] choices)
    {
        if (Find(name) is not { } e)
        {
            return choices[0].Value;
        }

        foreach ((string word, T value) in choices)
        {
            if (e.ValueKind == JsonValueKind.String && e.ValueEquals(word))
            {
                return value;
            }
        }

        throw Takes(name, string.Join(", ", choices.Select(c => $"\"{c.Word}\"")), e);
    }

    private FormatException Takes(string name, string what, JsonElement found) => new($"{_where}: \"{name}\" takes {what}, and is or contains {Kind(found)}.");

    private static string Kind(JsonElement e) => e.ValueKind switch
    {
        JsonValueKind.Object => "an object { }",
        JsonValueKind.Array => "a list [ ]",
        JsonValueKind.Null => "null",
        _ => e.GetRawText(),
    };
}
