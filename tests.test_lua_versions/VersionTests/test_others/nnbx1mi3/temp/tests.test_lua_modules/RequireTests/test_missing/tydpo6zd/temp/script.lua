
require 'no.such'
